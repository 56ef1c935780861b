"""Broker URLs."""

import pytest

from streaming.transport.client import BrokerError
from streaming.transport.connect import connect, faust_broker_url
from streaming.transport.kafka_client import KafkaClient
from streaming.transport.log_client import LogClient


def test_the_scheme_chooses_the_client() -> None:
    assert isinstance(connect("log:///tmp/a"), LogClient)
    assert isinstance(connect("kafka://127.0.0.1:9092"), KafkaClient)


def test_faust_gets_the_same_broker() -> None:
    assert faust_broker_url("log:///tmp/a b", fsync="always") == "log:///tmp/a%20b?fsync=always"
    assert faust_broker_url("log:///tmp/a?fsync=off") == "log:///tmp/a?fsync=off"
    assert faust_broker_url("kafka://broker") == "kafka://broker:9092"


@pytest.mark.parametrize(
    "url",
    ["log://", "log://host/a", "log:///a?fsync=never", "log:///a?sync=off", "kafka://", "kafka://h/x", "amqp://h", ""],
)
def test_other_urls_are_refused_with_what_was_expected(url: str) -> None:
    for use in (connect, faust_broker_url):
        with pytest.raises(BrokerError, match="expected log:///absolute/path") as refusal:
            use(url)
        assert refusal.value.code == "URL_INVALID"
