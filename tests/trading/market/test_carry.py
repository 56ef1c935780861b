import numpy as np

from tests.trading.market.frames import MINUTE, OPEN
from trading.market.carry import carried_closes, open_minutes
from trading.market.sessions import DAY_NS, calendar


def test_only_minutes_of_regular_sessions() -> None:
    exchange = calendar("XNYS")
    assert open_minutes(exchange, OPEN - 5 * MINUTE, OPEN + 3 * MINUTE).tolist() == [
        OPEN,
        OPEN + MINUTE,
        OPEN + 2 * MINUTE,
    ]
    assert len(open_minutes(exchange, OPEN - DAY_NS, OPEN + 2 * DAY_NS)) == 2 * 390
    assert len(open_minutes(exchange, OPEN - DAY_NS, OPEN - DAY_NS)) == 0
    assert len(open_minutes(calendar("24/7"), 0, DAY_NS)) == 1_440


def test_the_newest_close_before_is_carried() -> None:
    minutes, closes = carried_closes(np.arange(6), np.array([1, 4]), np.array([70, 80]))
    assert (minutes.tolist(), closes.tolist()) == ([2, 3, 5], [70, 70, 80])
