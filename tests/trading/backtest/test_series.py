import msgspec
import numpy as np
import pytest

from tests.trading.backtest.worlds import MINUTE_NS, T0, XYZ, flat, series
from trading.backtest import series as module
from trading.backtest.series import BacktestError, BarSeries


def test_rows_are_the_columns_in_order_across_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 3)
    bars = series([(n + 2, n + 4, n + 1, n + 3, n) for n in range(10)])
    rows = [msgspec.structs.astuple(bar) for bar in bars.rows()]
    assert rows == [
        (XYZ.id, T0 + n * MINUTE_NS, T0 + (n + 1) * MINUTE_NS, n + 2, n + 4, n + 1, n + 3, n) for n in range(10)
    ]


def broken(**changes: object) -> BarSeries:
    good = series(flat([100, 101, 102]))
    fields = {name: getattr(good, name) for name in BarSeries.__slots__}
    return BarSeries(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"close": np.array([1, 2])}, "BARS_MALFORMED"),
        ({"close": np.array([100.0, 101.0, 102.0])}, "BARS_MALFORMED"),
        ({"high": np.array([100, 100, 102])}, "BARS_MALFORMED"),
        ({"low": np.array([100, 102, 102])}, "BARS_MALFORMED"),
        ({"low": np.array([0, 101, 102])}, "BARS_MALFORMED"),
        ({"start_ns": np.array([T0, T0 + 1, T0 + 2])}, "BARS_NOT_IN_ORDER"),
        ({"ts_ns": np.array([T0, T0, T0])}, "BARS_NOT_IN_ORDER"),
    ],
)
def test_what_is_no_history_of_bars_is_refused(changes: dict[str, object], code: str) -> None:
    with pytest.raises(BacktestError) as caught:
        broken(**changes)
    assert caught.value.code == code


def test_no_bars_are_refused() -> None:
    with pytest.raises(BacktestError, match="nothing to run on"):
        series([])
