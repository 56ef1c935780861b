from tests.trading.backtest.worlds import XYZ, Script
from trading.strategies.catalog import make_strategy
from trading.strategies.protocol import Strategy


def test_the_examples_and_the_tests_own_strategy_have_the_form() -> None:
    made: list[Strategy] = [Script({}), make_strategy("sma", {"instrument": XYZ.id})]
    calls = {name for name in vars(Strategy) if name.startswith("on_")}
    assert calls == {"on_start", "on_bar", "on_tick", "on_fill"}
    assert all(callable(getattr(strategy, call)) for strategy in made for call in calls)
