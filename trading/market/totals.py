"""Cumulative counters of a normaliser. ticks_in = ticks_out + rejected + duplicates, always."""

from collections.abc import Mapping

import msgspec


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What a normaliser has seen and done since its first frame. Rows of `bad_frames` are not `ticks_in`."""

    frames: int = 0
    bad_frames: int = 0
    duplicate_frames: int = 0
    gaps: int = 0
    ticks_in: int = 0
    ticks_out: int = 0
    rejected: int = 0
    duplicates: int = 0
    late: int = 0
    bars: int = 0
    revisions: int = 0
    codes: Mapping[str, int] = {}

    def plus(self, codes: Mapping[str, int] | None = None, **counts: int) -> "Totals":
        """Return the totals with counts added."""
        values = {name: getattr(self, name) + count for name, count in counts.items()}
        if codes:
            merged = dict(self.codes)
            for code, count in codes.items():
                merged[code] = merged.get(code, 0) + count
            return msgspec.structs.replace(self, **values, codes=dict(sorted(merged.items())))
        return msgspec.structs.replace(self, **values)
