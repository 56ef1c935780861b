"""A mark counts only beside the journal that it was made from."""

from pathlib import Path

import pytest

from streaming.journal_mark import Folded, Mark, MarkFile
from tests.streaming.journal_records import broker_of
from tests.streaming.memory_broker import MemoryBroker
from trading.schemas import ORDERS_JOURNAL

TOPIC = ORDERS_JOURNAL.name


async def marked(folder: Path, broker: MemoryBroker, offset: int) -> MarkFile:
    """Return a file with a mark at a record."""
    file = MarkFile(folder / "state" / "mark.json")
    file.write(Folded(broker.records[TOPIC, 0][offset], 7, "what it came to"))
    return file


async def test_a_mark_is_found_beside_its_journal(tmp_path: Path) -> None:
    broker = await broker_of([b"one", b"two", b"three"])
    found = await (await marked(tmp_path, broker, 1)).read(broker, TOPIC, 0, 2)
    assert isinstance(found, Mark)
    assert (found.offset, found.generation, found.folded) == (1, 7, "what it came to")


async def test_a_mark_behind_what_is_asked_for_is_none(tmp_path: Path) -> None:
    broker = await broker_of([b"one", b"two", b"three"])
    assert await (await marked(tmp_path, broker, 1)).read(broker, TOPIC, 0, 1) is None


@pytest.mark.parametrize("payloads", [[b"one", b"other"], [b"one"], []])
async def test_a_mark_of_another_journal_is_none(tmp_path: Path, payloads: list[bytes]) -> None:
    file = await marked(tmp_path, await broker_of([b"one", b"two"]), 1)
    assert await file.read(await broker_of(payloads), TOPIC, 0, 2) is None


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}", b'{"offset":1'])
async def test_a_file_that_is_no_mark_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mark.json"
    assert await MarkFile(path).read(await broker_of([b"one"]), TOPIC, 0, 1) is None
    path.write_bytes(content)
    assert await MarkFile(path).read(await broker_of([b"one"]), TOPIC, 0, 1) is None
