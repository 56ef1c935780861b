"""The account of a run: what came in, what went out, what the lake holds, and whether they agree.

Pure but for reading the lake. Nothing here repairs anything: every disagreement becomes a line of `mismatches`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from orchestration.lake_io import LakeIO
from orchestration.oracle import batch_bars
from orchestration.recompute import compare, expected_bars
from trading.instruments import CATALOGUE, InstrumentTable
from trading.schemas import (
    BARS,
    BARS_V1,
    FILLS_V1,
    FRAMES_V1,
    JOURNAL_V1,
    ORDERS_JOURNAL,
    POSITIONS_V1,
    TICKS,
    TICKS_RAW,
    TICKS_V1,
    Table,
    Topic,
)

NORMALIZE = "normalize"
ORDERS = (JOURNAL_V1, FILLS_V1, POSITIONS_V1)
BRONZE = (TICKS_V1, BARS_V1, FRAMES_V1, *ORDERS)
_TOPIC_OF: Mapping[str, Topic] = {TICKS_V1.name: TICKS, BARS_V1.name: BARS, FRAMES_V1.name: TICKS_RAW} | dict.fromkeys(
    (table.name for table in ORDERS), ORDERS_JOURNAL
)
# The counters of the normaliser that a table's rows must equal. Frames and orders are counted by their offsets alone.
_COUNTERS_OF = {TICKS_V1.name: ("ticks_out",), BARS_V1.name: ("bars", "revisions")}

Oracle = Callable[[pa.Table], pa.Table]


def reconcile(lake: LakeIO, status: Mapping[str, Any], instruments: InstrumentTable = CATALOGUE) -> dict[str, Any]:
    """Return the report. `status` is the last status page; bars are computed by DuckDB and by our batch function.

    Keys: ticks, tables, bars (by oracle), mismatches (lines for people), reconciled.
    """
    mismatches: list[str] = []
    counters = normaliser(status)
    report: dict[str, Any] = {
        "ticks": _ticks(counters, mismatches),
        "tables": {t.name: _table(lake, t, status, counters, mismatches) for t in BRONZE},
        "bars": _bars(lake, status, {"duckdb": expected_bars, "batch": batch_bars(instruments)}, mismatches),
    }
    return report | {"mismatches": mismatches, "reconciled": not mismatches}


def normaliser(status: Mapping[str, Any]) -> dict[str, int]:
    """Return the normaliser's counters, summed over the raw partitions."""
    parts: Mapping[str, Mapping[str, Any]] = (status.get("flows") or {}).get(NORMALIZE) or {}
    total: dict[str, int] = {}
    for part in parts.values():
        for name, value in part.items():
            if isinstance(value, int) and not isinstance(value, bool):
                total[name] = total.get(name, 0) + value
    return total


def _ticks(counters: Mapping[str, int], mismatches: list[str]) -> dict[str, int]:
    names = ("ticks_in", "ticks_out", "rejected", "duplicates", "bad_frames")
    ticks = {name: counters.get(name, 0) for name in names}
    accounted = ticks["ticks_out"] + ticks["rejected"] + ticks["duplicates"]
    if ticks["ticks_in"] != accounted:
        mismatches.append(f"ticks in {ticks['ticks_in']}, but out + rejected + duplicates = {accounted}")
    return ticks


def _table(
    lake: LakeIO, table: Table, status: Mapping[str, Any], counters: Mapping[str, int], mismatches: list[str]
) -> dict[str, int]:
    state = lake.state(table)
    figures = {"rows": state.rows, "rows_in_ranges": state.rows_in_ranges, "ranges": len(state.ranges)}
    mismatches += [f"{table.name}: {fault}" for fault in state.faults]
    if state.rows != state.rows_in_ranges:
        mismatches.append(f"{table.name}: {state.rows} rows, {state.rows_in_ranges} in the offset ranges")
    names = _COUNTERS_OF.get(table.name, ())
    if counters and names:
        written = figures["normaliser"] = sum(counters.get(name, 0) for name in names)
        if written != state.rows:
            mismatches.append(f"{table.name}: {state.rows} rows, the normaliser wrote {written}")
    topic = _TOPIC_OF[table.name].name
    taken = state.taken
    for partition, ends in ((status.get("topics") or {}).get(topic) or {}).items():
        source, end = f"{topic}-{partition}", int(ends["end"])
        if taken.get(source, 0) != end:
            mismatches.append(f"{table.name}: {source} taken to offset {taken.get(source, 0)} of {end}")
    return figures


def _bars(
    lake: LakeIO, status: Mapping[str, Any], oracles: Mapping[str, Oracle], mismatches: list[str]
) -> dict[str, Any]:
    feed = status.get("feed") or {}
    closed, venue = bool(feed.get("drained")), str(feed.get("venue") or "%")
    report: dict[str, Any] = {name: {} for name in oracles}
    days = sorted(set(lake.rows_by_date(TICKS_V1)) | set(lake.rows_by_date(BARS_V1)))
    for day in days:
        ticks, bars = lake.read(TICKS_V1, day), lake.read(BARS_V1, day)
        for name, oracle in oracles.items():
            found = compare(oracle(ticks), ticks, bars, settled=True, closed=closed, venue=venue)
            for verdict, count in found.counts.items():
                report[name][verdict] = report[name].get(verdict, 0) + count
            mismatches += [
                f"bars of {day} by {name}: {m['instrument']} {m['interval']} {m['start']} {m['verdict']}, "
                f"stored {m['stored']}, expected {m['expected']}"
                for m in found.mismatches
            ]
    return report | {"days": [day.isoformat() for day in days]}
