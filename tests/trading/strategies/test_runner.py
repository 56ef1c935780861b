from tests.trading.backtest.worlds import XYZ, Script, order
from tests.trading.orders import builders as b
from trading.commands import SubmitOrder
from trading.orders.idempotency import order_id
from trading.strategies.context import Context
from trading.strategies.rows import Bar, Tick
from trading.strategies.runner import Runner

BAR = Bar(XYZ.id, b.T0 - 60, b.T0, 100, 100, 100, 100, 10)
TICK = Tick(XYZ.id, b.T0, 100, 10, 1)


def test_messages_go_in_and_commands_come_out_once() -> None:
    script = Script({0: order(10, limit=9_900)})
    runner = Runner(script, "s", "a", b.TABLE)
    assert runner.start(b.T0) == []
    assert script.started_ns == b.T0
    (command,) = runner.bar(BAR)
    assert isinstance(command, SubmitOrder)
    assert runner.bar(BAR) == runner.take() == []


def test_a_tick_has_its_own_door() -> None:
    runner = Runner(Script({0: order(-1)}), "s", "a", b.TABLE)
    (command,) = runner.tick(TICK)
    assert getattr(command, "side", "") == "sell"


def test_fills_of_own_orders_reach_the_strategy_and_its_answers_come_out() -> None:
    def again(context: Context) -> None:
        context.submit(XYZ.id, -context.position(XYZ.id))

    state = b.desk()
    script = Script({0: order(10, limit=9_900)}, at_fill=again)
    runner = Runner(script, "s", "a", b.TABLE)
    (command,) = runner.bar(BAR)
    assert isinstance(command, SubmitOrder)
    assert runner.events(b.step(state, command)) == []
    (answer,) = runner.events(b.step(state, b.fill(order=order_id("a", command.client_order_id))))
    assert isinstance(answer, SubmitOrder)
    assert (answer.side, answer.qty) == ("sell", "10")
    assert script.net == [10]
    b.step(state, b.submit())
    assert runner.events(b.step(state, b.fill("t9"))) == []
