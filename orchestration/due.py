"""Which days of the lake have to be cleaned again. Pure: what is there, what was asked for, what time it is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

# A day that grows without pause (a replay at real speed) is cleaned this often, and once more when it rests.
REPEAT_S = 600.0
MAX_DAYS = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """One day at the last look: its bronze rows, the rows when it was last asked for, and when that was."""

    rows: int
    asked_rows: int = -1
    asked_s: float = 0.0


def load(cursor: str | None) -> dict[str, Seen]:
    """Read what was seen; an unreadable cursor means nothing was."""
    try:
        return {day: Seen(int(v[0]), int(v[1]), float(v[2])) for day, v in json.loads(cursor or "{}").items()}
    except (ValueError, TypeError, IndexError, AttributeError):
        return {}


def dump(seen: Mapping[str, Seen]) -> str:
    """Return what was seen as text."""
    return json.dumps({day: [s.rows, s.asked_rows, s.asked_s] for day, s in seen.items()}, separators=(",", ":"))


def decide(seen: Mapping[str, Seen], rows: Mapping[str, int], now_s: float) -> tuple[list[str], dict[str, Seen]]:
    """Return the days to clean, newest first and at most `MAX_DAYS`, and what is seen now.

    A day is due when its rows changed since it was asked for, and either rest since the last look or changed for long.
    """
    after: dict[str, Seen] = {}
    due: list[str] = []
    for day in sorted(rows, reverse=True):
        before = seen.get(day, Seen(-1))
        changed = rows[day] != before.asked_rows
        rests = rows[day] == before.rows
        overdue = now_s - before.asked_s >= REPEAT_S
        if changed and (rests or overdue) and len(due) < MAX_DAYS:
            due.append(day)
            after[day] = Seen(rows[day], rows[day], now_s)
        else:
            after[day] = Seen(rows[day], before.asked_rows, before.asked_s)
    return due, after
