"""Bits of the `flags` column of ticks and bars. A bar carries the bits of all its ticks."""

GAP = 1
"""Frames of the feed were lost before this tick."""
CROSS = 2
"""The bid is above the ask."""
STALE = 4
"""The tick was older than `stale_after` by the feed's clock before its frame (a replayed frame may span minutes)."""
SUSPICIOUS = 8
"""The feed itself marks the tick as suspicious."""
LATE = 16
"""The tick came after its one-minute bar had closed."""
NO_TRADE = 32
"""A bar without trades that carries the last close."""

NAMES = {"gap": GAP, "cross": CROSS, "stale": STALE, "suspicious": SUSPICIOUS, "late": LATE, "no_trade": NO_TRADE}


def names(flags: int) -> tuple[str, ...]:
    """Return the names of the bits that are set, lowest bit first."""
    return tuple(name for name, bit in NAMES.items() if flags & bit)
