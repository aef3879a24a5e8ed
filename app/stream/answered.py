"""What Kafka's admin client answers: its futures raise two kinds of error where nothing comes in time."""

from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException


def answered(future: Future[Any], timeout_s: float) -> Any:
    """What a future comes to; raises KafkaException, also where it has come to nothing after `timeout_s`."""
    try:
        return future.result(timeout_s)
    except TimeoutError:
        late = KafkaError(KafkaError._TIMED_OUT, f"no answer within {timeout_s:.0f} s")  # noqa: SLF001
        raise KafkaException(late) from None
