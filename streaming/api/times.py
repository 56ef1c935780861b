"""Times on the wire: RFC 3339 in UTC with microseconds out; dates and RFC 3339 in."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from streaming.api.errors import ApiError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_NS = 2**63 - 1
SECONDS_KEPT = 1_024
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)


def to_text(ts_ns: int) -> str:
    """Return a time as `2026-01-02T03:04:05.123456Z`."""
    seconds, rest_ns = divmod(ts_ns, 10**9)
    return f"{_second(seconds)}.{rest_ns // 1_000:06}Z"


@lru_cache(maxsize=SECONDS_KEPT)
def _second(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def to_offset_text(ts_ns: int, offset_ns: int = 0) -> str:
    """Return a time with a numeric offset, as some clients insist on for the clock."""
    sign, minutes = ("-", -offset_ns) if offset_ns < 0 else ("+", offset_ns)
    hours, rest = divmod(minutes // 60_000_000_000, 60)
    local = EPOCH + timedelta(microseconds=(ts_ns + offset_ns) // 1_000)
    return f"{local:%Y-%m-%dT%H:%M:%S}{sign}{hours:02}:{rest:02}"


def parse(field: str, text: str) -> int:
    """Return the ns of a date or a time, UTC where it says no offset; raise `ApiError` 422."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise _bad(field)
    day, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else zone
    try:
        moment = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}{zone}")
    except ValueError:
        raise _bad(field) from None
    ns = (moment - EPOCH) // timedelta(microseconds=1) * 1_000 + int((fraction or "0").ljust(9, "0"))
    if not 0 <= ns <= MAX_NS:
        raise _bad(field)
    return ns


def _bad(field: str) -> ApiError:
    return ApiError(422, f"{field.upper()}_NOT_A_TIME", f"{field} must be a date or an RFC 3339 time since 1970", field)
