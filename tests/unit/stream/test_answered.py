"""Answers of Kafka's admin client that come, fail, or do not come."""

from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException

from app.stream.answered import answered


def test_an_answer_and_what_the_broker_refused_are_passed_on():
    came, refused = Future(), Future()
    came.set_result(7)
    refused.set_exception(KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)))
    assert answered(came, 1) == 7
    with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED"):
        answered(refused, 1)


def test_no_answer_in_time_is_an_error_of_kafka_and_no_other():
    with pytest.raises(KafkaException, match="no answer within 0 s") as raised:
        answered(Future(), 0.01)
    assert raised.value.args[0].code() == KafkaError._TIMED_OUT
