"""What makes a lake table trustworthy, as pure functions over Arrow tables. Each returns one `Finding`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from orchestration.recompute import Comparison, compare, expected_bars
from orchestration.sql import row

Figure = int | float | str
NS_PER_S = 1_000_000_000
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check: its name, the verdict, one sentence for people, and figures."""

    name: str
    passed: bool
    message: str
    figures: Mapping[str, Figure] = field(default_factory=dict)


def schema(actual: pa.Schema, wanted: pa.Schema) -> Finding:
    """Every column is there, with its type, and no other."""
    have, want = {f.name: f.type for f in actual}, {f.name: f.type for f in wanted}
    wrong = [
        f"{name} is {have[name]}, not {kind}" for name, kind in want.items() if name in have and have[name] != kind
    ]
    wrong += [f"{name} is missing" for name in want if name not in have]
    wrong += [f"{name} is not a column of this table" for name in have if name not in want]
    return Finding("schema", not wrong, "; ".join(wrong) or "columns and types as declared", {"columns": len(have)})


def ohlc(bars: pa.Table) -> Finding:
    """Low is lowest, high is highest, volume and trades are not negative, nothing is null or infinite."""
    bad = row(
        """select count(*) as n from bars where not coalesce(
            low <= open and low <= close and open <= high and close <= high and volume >= 0 and trades >= 0
            and isfinite(low) and isfinite(high) and isfinite(volume), false)""",
        bars=bars,
    )["n"]
    return Finding("ohlc", bad == 0, f"{bad} of {bars.num_rows} bars are impossible", {"bad": bad})


def unique(name: str, table: pa.Table, key: Sequence[str]) -> Finding:
    """No two rows share the key."""
    found = row("select count(*) as kept from (select distinct * from t)", t=table.select(list(key)))
    repeats = table.num_rows - int(found["kept"])
    return Finding(
        name, repeats == 0, f"{repeats} of {table.num_rows} rows repeat ({', '.join(key)})", {"repeats": repeats}
    )


def conserved(bronze_rows: int, clean_rows: int, dropped: int) -> Finding:
    """Every bronze row is in the clean table or was counted as left out."""
    missing = bronze_rows - clean_rows - dropped
    return Finding(
        "counts",
        missing == 0,
        f"{bronze_rows} bronze = {clean_rows} clean + {dropped} left out" + (f" + {missing} lost" if missing else ""),
        {"bronze": bronze_rows, "clean": clean_rows, "dropped": dropped},
    )


def tiled(ranges: int, faults: Sequence[str]) -> Finding:
    """The offset ranges of the commits leave no gap and no overlap, source by source."""
    message = "; ".join(faults[:SHOWN]) or f"{ranges} ranges tile"
    return Finding("offsets", not faults, message, {"ranges": ranges, "faults": len(faults)})


def counted(rows: int, in_ranges: int) -> Finding:
    """The table holds as many rows as its commits took from their sources."""
    message = f"{rows} rows in the table, {in_ranges} in the offset ranges"
    return Finding("counts", rows == in_ranges, message, {"rows": rows, "in_ranges": in_ranges})


_GAPS = """
with minutes as (
    select instrument, time_bucket(interval 60 seconds, ts) as ts from ticks where kind = 'trade' group by all
), newest as (select instrument, max(ts) as ts from bars where "interval" = '1m' group by instrument),
absent as (
    select m.instrument, m.ts from minutes m join newest n on m.instrument = n.instrument and m.ts <= n.ts
    anti join (select * from bars where "interval" = '1m') b on b.instrument = m.instrument and b.ts = m.ts
), steps as (
    select instrument, epoch_us(ts) - lag(epoch_us(ts)) over (partition by instrument order by ts) as step
    from ticks where kind = 'trade'
)
select (select count(*) from absent) as missing, (select count(*) from minutes) as minutes,
    (select count(*) from steps where step > 60000000) as silences,
    (select coalesce(max(step), 0) / 1e6 from steps) as longest_s
"""


def gaps(ticks: pa.Table, bars: pa.Table) -> Finding:
    """Each minute with trades has its 1m bar, up to the newest one. Silences in trading are counted, not judged."""
    found = row(_GAPS, ticks=ticks, bars=bars)
    return Finding(
        "gaps",
        found["missing"] == 0,
        f"{found['missing']} of {found['minutes']} minutes with trades have no bar; "
        f"{found['silences']} silences over 60 s, the longest {found['longest_s']:.0f} s",
        {
            "missing_bars": found["missing"],
            "minutes": found["minutes"],
            "silences": found["silences"],
            "longest_silence_s": float(found["longest_s"]),
        },
    )


def bars_match(
    ticks: pa.Table, bars: pa.Table, *, settled: bool, closed: bool, venue: str = "%"
) -> tuple[Finding, Comparison]:
    """The stored bars of all intervals equal those that DuckDB computes from the stored ticks."""
    found = compare(expected_bars(ticks), ticks, bars, settled=settled, closed=closed, venue=venue)
    parts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(found.counts.items())) or "no bars"
    figures: dict[str, Figure] = dict(found.counts)
    figures |= {f"equal_{name}": count for name, count in found.intervals.items()}
    return Finding("bars_from_ticks", found.wrong == 0, parts + _first(found.mismatches), figures), found


def fresh(clock_ns: int | None, newest_ns: int | None, allowed_s: float) -> Finding:
    """The newest stored tick is not further behind the clock of the feed than allowed."""
    if clock_ns is None or newest_ns is None:
        return Finding("freshness", clock_ns is None, "no feed is running" if clock_ns is None else "no tick is stored")
    behind_s = max(0, clock_ns - newest_ns) / NS_PER_S
    message = f"the newest tick is {behind_s:.1f} s behind the clock of the feed, {allowed_s:.0f} s allowed"
    return Finding("freshness", behind_s <= allowed_s, message, {"behind_s": round(behind_s, 3)})


def _first(mismatches: Sequence[Mapping[str, Any]]) -> str:
    return "".join(
        f"; {m['instrument']} {m['interval']} {m['start']} {m['verdict']}: "
        f"stored {m['stored']}, expected {m['expected']}"
        for m in mismatches[:SHOWN]
    )
