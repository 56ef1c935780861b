"""A short journal for tests of its sinks and tables: one account, two orders, four fills, one stale record."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from streaming.flow import FlowContext, Processor
from streaming.settings import Settings
from tests.streaming.memory_broker import MemoryBroker
from tests.trading.orders.builders import T0, TABLE, ack, fill, limits_body, market, submit
from trading.commands import AnyCommand, Deposit, OpenAccount, SetLimits
from trading.orders.journal import append, append_fence
from trading.orders.oms import decide
from trading.orders.state import State
from trading.schemas import ORDERS_JOURNAL

COMMANDS: Sequence[AnyCommand] = (
    OpenAccount(account="a", ts_ns=T0, actor="admin"),
    Deposit(account="a", ts_ns=T0, actor="admin", ref="first", amount="1000000"),
    SetLimits(account="a", ts_ns=T0, actor="admin", limits=limits_body()),
    submit("c1"),
    ack("c1"),
    fill("t1", qty="4", fee="0.5"),
    fill("t2", qty="6"),
    submit("c2", side="sell", limit_price="101", qty="12"),
    ack("c2"),
    fill("t3", "c2", side="sell", qty="5", price="101"),
    fill("t4", "c2", side="sell", qty="7", price="101.50", fee="0.25"),
)
FILLS = 4


def records(commands: Sequence[AnyCommand] = COMMANDS) -> tuple[list[bytes], State]:
    """Return the sealed records of a fence and of commands, and the state behind them."""
    state = State()
    payloads = [append_fence(state, "test", T0)]
    state.generation = 0
    for number, command in enumerate(commands):
        events = decide(state, command, market())
        payloads.append(append(state, "a", f"orders.commands:0:{number}", T0, events))
    return payloads, state


async def broker_of(payloads: Sequence[bytes | None]) -> MemoryBroker:
    """Return a broker with a journal."""
    broker = MemoryBroker()
    await broker.append(ORDERS_JOURNAL.name, 0, [(b"a", payload) for payload in payloads])
    return broker


def context_of(home: Path, broker: MemoryBroker, **settings: Any) -> FlowContext:
    """Return a context that knows the instruments of the core's tests."""
    instruments = tuple(msgspec.to_builtins(instrument) for instrument in TABLE)
    return FlowContext(Settings(home=home, instruments=instruments, **settings), home, broker)


async def drain(sink: Processor, broker: MemoryBroker) -> int | None:
    """Open a sink, give it all that it wants, and close it."""
    first = await sink.open() or 0
    rest = broker.records[ORDERS_JOURNAL.name, 0][first:]
    if rest:
        await sink.process(rest)
    return await sink.close()
