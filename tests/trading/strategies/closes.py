"""A strategy fed with closes, its orders taken as filled at once."""

from collections.abc import Sequence

from tests.trading.backtest.worlds import XYZ
from trading.commands import SubmitOrder
from trading.events import OrderFilled
from trading.instruments import InstrumentTable
from trading.orders.idempotency import order_id
from trading.strategies.protocol import Strategy
from trading.strategies.rows import Bar
from trading.strategies.runner import Runner


def positions(strategy: Strategy, closes: Sequence[int]) -> list[int]:
    """Return the position after each close, in the scale."""
    runner = Runner(strategy, "s", "a", InstrumentTable([XYZ]))
    assert runner.start(0) == []
    held = []
    for n, close in enumerate(closes):
        for command in runner.bar(Bar(XYZ.id, n, n + 1, close, close, close, close, 1)):
            assert isinstance(command, SubmitOrder)
            order = order_id("a", command.client_order_id)
            fill = OrderFilled("a", n, order, XYZ.id, command.side, "SIM", "t", int(command.qty), close, 0, 0, "filled")
            assert runner.events([fill]) == []
        held.append(runner.context.position(XYZ.id))
    return held
