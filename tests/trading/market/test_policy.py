from typing import Any

import pytest

from trading.market.policy import MarketPolicy


@pytest.mark.parametrize(
    "change", [{"allowed_lateness_ns": -1}, {"jump_ratio": 1.0}, {"stale_after_ns": 0}, {"future_tolerance_ns": -1}]
)
def test_nonsense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        MarketPolicy(**change)
