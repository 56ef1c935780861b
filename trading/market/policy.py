"""How ticks are judged and how bars close, from plain numbers. All times are ns of the feed's clock."""

from typing import Literal

import msgspec

MS = 1_000_000
MAX_LATENESS_NS = 6 * 3600 * 1000 * MS


class MarketPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the normaliser. The defaults are those of the settings."""

    allowed_lateness_ns: int = 2_000 * MS
    stale_after_ns: int = 5_000 * MS
    future_tolerance_ns: int = 5_000 * MS
    jump_ratio: float = 20.0
    no_trade: Literal["skip", "carry"] = "skip"
    conflate_ns: int = 100 * MS
    max_clock_step_ns: int = 400 * 86_400 * 1000 * MS

    def __post_init__(self) -> None:
        if not 0 <= self.allowed_lateness_ns <= MAX_LATENESS_NS:
            raise ValueError(f"allowed_lateness_ns must be 0 to {MAX_LATENESS_NS}")
        if self.jump_ratio <= 1:
            raise ValueError("jump_ratio must be above 1")
        if min(self.stale_after_ns, self.conflate_ns, self.max_clock_step_ns) < 1 or self.future_tolerance_ns < 0:
            raise ValueError("stale_after_ns, conflate_ns and max_clock_step_ns must be above 0")
