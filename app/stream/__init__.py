"""Kafka and Faust: the transport, the checkpoints, the topics. Nothing here decides."""
