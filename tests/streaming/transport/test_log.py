"""The log:// driver beyond the contract: wake-ups, tables, several apps, topics that are not there, lost records."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import faust
import pytest

from streaming.transport import log
from streaming.transport.client import BrokerError, TopicSpec
from streaming.transport.log_client import LogClient
from tests.streaming.transport.apps import make_app, running, until


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[LogClient]:
    """Return a client of an empty log with one topic."""
    started = LogClient(tmp_path / "log")
    await started.start()
    await started.create_topics([TopicSpec("t", 2)])
    yield started
    await started.stop()


def keep(values: list[bytes], event: Any) -> None:
    """Note the value of an event."""
    values.append(event.value)


def url_of(folder: Path) -> str:
    """Return the URL of the log."""
    return f"log://{folder}/log"


async def test_an_idle_app_is_woken_by_the_append(
    client: LogClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With a wait this long, a driver that polls could not pass in the time allowed.
    monkeypatch.setattr("streaming.transport.delivery.IDLE_WAIT_S", 3_600.0)
    seen: list[bytes] = []
    async with running(make_app(url_of(tmp_path), "g", "t", lambda event: seen.append(event.value), tmp_path)):
        for number in range(20):
            await client.append("t", number % 2, [(None, b"%d" % number)])
            await until(partial(_count_is, seen, number + 1))
    assert seen == [b"%d" % number for number in range(20)]


async def test_apps_of_one_process_share_the_log(client: LogClient, tmp_path: Path) -> None:
    seen: dict[str, list[bytes]] = {"a": [], "b": []}
    apps = [make_app(url_of(tmp_path), g, "t", partial(keep, values), tmp_path) for g, values in seen.items()]
    async with running(apps[0]), running(apps[1]):
        await client.append("t", 0, [(None, b"1"), (None, b"2")])
        await until(lambda: all(len(values) >= 2 for values in seen.values()))
    assert seen == {"a": [b"1", b"2"], "b": [b"1", b"2"]}


async def test_a_topic_that_is_not_there_crashes_the_app_by_name(client: LogClient, tmp_path: Path) -> None:
    app = make_app(url_of(tmp_path), "g", "missing", lambda event: True, tmp_path)
    async with running(app):
        await until(lambda: app.crashed)
        assert isinstance(app.crash_reason, BrokerError)
        assert app.crash_reason.code == "TOPIC_UNKNOWN"


async def test_a_table_comes_back_from_its_changelog(client: LogClient, tmp_path: Path) -> None:
    def counting() -> tuple[faust.App, Any]:
        app = make_app(url_of(tmp_path), "counts", "t", lambda event: True, tmp_path)
        table = app.Table("seen", default=bytes, partitions=2, key_type=bytes, value_type=bytes)

        @app.agent(app.topic("t", key_type=bytes, value_type=bytes))
        async def count(stream: Any) -> None:
            async for event in stream.events():
                table[event.key] = b"%d" % (int(table[event.key] or b"0") + 1)

        return app, table

    await client.append("t", 1, [(b"k", b"v")] * 30)
    app, table = counting()
    async with running(app):
        await until(lambda: table.get(b"k") == b"30")
    app, table = counting()
    async with running(app):
        await until(lambda: table.get(b"k") == b"30")


async def test_offsets_refused_by_a_full_disk_are_committed_later(client: LogClient, tmp_path: Path) -> None:
    app = make_app(url_of(tmp_path), "g", "t", lambda event: True, tmp_path)
    await client.append("t", 0, [(None, b"v")] * 5)
    async with running(app):
        await until(lambda: _committed(client, "g", 5))
        consumer = app.consumer
        assert isinstance(consumer, log.Consumer)
        real, refused = consumer.broker.commit, list[Any]()

        def full(group: str, offsets: Any) -> Any:
            refused.append(offsets)
            raise BrokerError("LOG_FULL", "no space", retriable=True)

        consumer.broker.commit = full  # type: ignore[method-assign] # the disk is full for a while
        await client.append("t", 0, [(None, b"v")] * 5)
        await until(lambda: len(refused) >= 2)
        consumer.broker.commit = real  # type: ignore[method-assign] # space is back
        await until(lambda: _committed(client, "g", 10))
    assert not app.crashed


def _count_is(seen: list[bytes], count: int) -> bool:
    return len(seen) == count


async def _committed(client: LogClient, group: str, offset: int) -> bool:
    return await client.committed(group, "t", 0) == offset
