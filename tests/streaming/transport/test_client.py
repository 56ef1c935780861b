"""The contract's own parts; what clients must do is in the contract suite."""

from pathlib import Path

from streaming.transport.client import BrokerClient, BrokerError, TopicSpec
from streaming.transport.kafka_client import KafkaClient
from streaming.transport.log_client import LogClient


def test_both_clients_have_every_method_of_the_contract(tmp_path: Path) -> None:
    clients: list[BrokerClient] = [LogClient(tmp_path), KafkaClient("127.0.0.1:1")]
    wanted = {name for name in vars(BrokerClient) if not name.startswith("_")}
    assert all(wanted <= set(dir(client)) for client in clients)


def test_an_error_is_final_unless_it_says_otherwise() -> None:
    assert not BrokerError("CODE", "message").retriable
    error = BrokerError("CODE", "message", retriable=True)
    assert (error.code, str(error), error.retriable) == ("CODE", "message", True)


def test_a_topic_is_kept_by_size_unless_compacted() -> None:
    assert TopicSpec("t", 1) == ("t", 1, False, 4 << 30)
