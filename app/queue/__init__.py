"""RabbitMQ: the topology and the pipelined publisher. Nothing here decides, expires or drops."""
