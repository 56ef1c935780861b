"""The price that exposure is held at is never better than the order may trade at."""

import pytest

from trading.risk.context import Draft, hold_price

CASES = [
    # side, limit, stop, mark -> hold price with a collar of 10 %
    (1, 9_000, None, 10_000, 9_000),
    (1, 11_000, None, 10_000, 11_000),
    (-1, 9_500, None, 10_000, 10_000),
    (-1, 10_500, None, 10_000, 10_500),
    (1, None, None, 10_000, 11_000),
    (-1, None, None, 10_000, 11_000),
    (1, None, 12_000, 10_000, 13_200),
    (-1, None, 9_000, 10_000, 11_000),
    (1, 12_100, 12_000, 10_000, 12_100),
    (1, None, None, 9_999, 10_999),
]


@pytest.mark.parametrize(("side", "limit", "stop", "mark", "wanted"), CASES)
def test_hold_price(side: int, limit: int | None, stop: int | None, mark: int, wanted: int) -> None:
    assert hold_price(Draft("a", "I", side, 1, "limit", "gtc", 0, limit, stop), mark, 1_000) == wanted
