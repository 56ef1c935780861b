"""From a broker URL to a client and to the URL that a Faust app is given."""

from yarl import URL

from streaming.transport.broker import Fsync
from streaming.transport.client import BrokerClient, BrokerError
from streaming.transport.open_logs import parse_log_url


def connect(url: str, *, fsync: Fsync = "batch") -> BrokerClient:
    """Return a client that is not started yet, for `log:///abs/path` or `kafka://host:port`; raise `URL_INVALID`."""
    if url.startswith("log:"):
        from streaming.transport.log_client import LogClient

        folder, mode = parse_log_url(url)
        return LogClient(folder, mode or fsync)
    from streaming.transport.kafka_client import KafkaClient

    return KafkaClient(bootstrap_of(url))


def faust_broker_url(url: str, *, fsync: Fsync = "batch") -> str:
    """Return the `broker` setting of a Faust app on the same broker."""
    if url.startswith("log:"):
        folder, mode = parse_log_url(url)
        return f"log://{URL.build(path=str(folder)).raw_path}?fsync={mode or fsync}"
    return f"kafka://{bootstrap_of(url)}"


def bootstrap_of(url: str) -> str:
    """Return HOST:PORT of a Kafka url; raise `URL_INVALID`."""
    parsed = URL(url)
    if parsed.scheme != "kafka" or not parsed.host or parsed.path not in ("", "/"):
        raise BrokerError("URL_INVALID", f"{url!r}: expected log:///absolute/path or kafka://host:port")
    return f"{parsed.host}:{parsed.port or 9092}"
