"""One embedded broker for each folder and process."""

import asyncio
from pathlib import Path

import pytest

from streaming.transport.client import BrokerError
from streaming.transport.open_logs import acquire, release


async def test_users_of_a_folder_share_the_broker_and_the_last_one_closes_it(tmp_path: Path) -> None:
    first = acquire(tmp_path, "batch")
    second = acquire(tmp_path / "x" / "..", None)
    assert first is second
    await release(first)
    assert acquire(tmp_path, None) is first
    await release(first)
    await release(first)
    again = acquire(tmp_path, "off")
    assert again is not first
    await release(again)


async def test_another_mode_and_another_loop_are_refused(tmp_path: Path) -> None:
    broker = acquire(tmp_path, "batch")
    with pytest.raises(BrokerError) as refusal:
        acquire(tmp_path, "always")
    assert refusal.value.code == "LOG_MODE_MISMATCH"

    async def elsewhere() -> str:
        try:
            acquire(tmp_path, None)
        except BrokerError as error:
            return error.code
        return "no error"

    assert await asyncio.to_thread(asyncio.run, elsewhere()) == "LOG_IN_USE"
    await release(broker)


async def test_a_broker_left_by_a_dead_loop_does_not_block_the_folder(tmp_path: Path) -> None:
    async def leave() -> None:
        acquire(tmp_path, None)

    await asyncio.to_thread(asyncio.run, leave())
    await release(acquire(tmp_path, None))
