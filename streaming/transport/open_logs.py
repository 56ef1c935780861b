"""The embedded brokers that this process has open: one for each folder, closed when its last user leaves."""

import asyncio
from pathlib import Path

from yarl import URL

from streaming.transport.broker import Broker, Fsync
from streaming.transport.client import BrokerError

_MODES: tuple[Fsync, ...] = ("always", "batch", "off")
_open: dict[Path, Broker] = {}


def parse_log_url(url: str) -> tuple[Path, Fsync | None]:
    """Split `log:///abs/path[?fsync=MODE]` into folder and mode; raise `URL_INVALID`."""
    parsed = URL(url)
    mode = next((m for m in _MODES if m == parsed.query.get("fsync")), None)
    unknown = set(parsed.query) - {"fsync"} or ("fsync" in parsed.query and mode is None)
    if parsed.scheme != "log" or parsed.host or not parsed.path.startswith("/") or unknown:
        raise BrokerError("URL_INVALID", f"{url!r}: expected log:///absolute/path, optionally ?fsync=always|batch|off")
    return Path(parsed.path), mode


def acquire(folder: Path, fsync: Fsync | None) -> Broker:
    """Return the broker of a folder, opened if need be; every call is paired with one `release`."""
    folder = folder.resolve()
    broker = _open.get(folder)
    if broker is not None and broker.loop.is_closed():
        _open.pop(folder).abandon()
        broker = None
    if broker is None:
        broker = Broker(folder, fsync or "batch")
        broker.open()
        _open[folder] = broker
    if broker.loop is not asyncio.get_running_loop():
        raise BrokerError("LOG_IN_USE", f"{folder}: another event loop of this process has this log open")
    if fsync is not None and fsync != broker.fsync:
        raise BrokerError("LOG_MODE_MISMATCH", f"{folder}: is open with fsync={broker.fsync}, not {fsync}")
    broker.users += 1
    return broker


async def release(broker: Broker) -> None:
    """Give a broker back; the last user closes it, with everything synced."""
    broker.users -= 1
    if broker.users == 0:
        _open.pop(broker.folder.resolve(), None)
        await broker.close()
