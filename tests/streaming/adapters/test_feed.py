import asyncio

from streaming.adapters.feed import Closing


async def test_a_wait_that_is_due_lets_others_run_and_says_open() -> None:
    ran: list[int] = []
    asyncio.get_running_loop().call_soon(ran.append, 1)
    assert not await Closing().wait_for(0)
    assert ran == [1]


async def test_closing_ends_a_long_wait() -> None:
    closing = Closing()
    waiting = asyncio.create_task(closing.wait_for(3_600))
    await asyncio.sleep(0)
    closing.set()
    assert await waiting
    assert await closing.wait_for(0)


async def test_a_short_wait_ends_open() -> None:
    assert not await Closing().wait_for(0.001)
