"""Bars computed again from lake ticks by DuckDB, and compared with the bars that the stream wrote. Pure.

A bar may rightly differ while the platform runs: its ticks and the bar itself are committed by two sinks. Such a
difference counts as `pending`, and a bar that had no reason to close yet as `open`; every other one is a mismatch.
Reasons are a later bar of the instrument, and a tick of it that is later by more than any lateness allowed.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from orchestration.sql import query, rows

INTERVALS_S = {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1d": 86_400}
# Sums of floats depend on their order; prices are copied, never computed, so they must be equal to the bit.
VOLUME_TOLERANCE = 1e-9
PATIENCE_US = 3_600_000_000
SHOWN = 10

_SPANS = pa.table({"interval": list(INTERVALS_S), "seconds": list(INTERVALS_S.values())})
# The daily bar is that of the session date, wherever its midnight lies.
_EXPECTED = """
with trades as (
    select instrument, date, ts, trade_id, price, qty, src_offset from ticks where kind = 'trade'
), slotted as (
    select *, case when "interval" = '1d' then epoch_us(date::timestamp)
        else epoch_us(ts) - epoch_us(ts) % (seconds * 1000000) end as slot
    from trades cross join spans
)
select instrument, "interval", slot, arg_min(price, (ts, coalesce(trade_id, 0))) as open, max(price) as high,
    min(price) as low, arg_max(price, (ts, coalesce(trade_id, 0))) as close, sum(qty) as volume, count(*) as trades,
    max(src_offset) as src_offset
from slotted group by instrument, "interval", slot
"""
_COMPARED = """
with latest as (
    select * from bars qualify row_number() over (
        partition by instrument, "interval", ts order by revision desc, src_partition, src_offset, src_row) = 1
), stored as (
    select *, case when "interval" = '1d' then epoch_us(date::timestamp) else epoch_us(ts) end as slot
    from latest where trades > 0
), seen as (
    select instrument, max(tick) as tick, max(bar) as bar, max(till) as till from (
        select instrument, max(src_offset) as tick, null as bar, max(epoch_us(ts)) - patience as till
        from ticks cross join facts group by instrument, patience
        union all
        select instrument, null, max(src_offset), max(epoch_us(ts) + seconds * 1000000)
        from bars join spans using ("interval") group by instrument
    ) group by instrument
), joined as (
    select coalesce(s.instrument, e.instrument) as instrument, coalesce(s."interval", e."interval") as "interval",
        coalesce(s.slot, e.slot) as slot, s.slot is not null as in_lake, e.slot is not null as in_ticks,
        coalesce(s.open = e.open and s.high = e.high and s.low = e.low and s.close = e.close and s.trades = e.trades
            and abs(s.volume - e.volume) <= tolerance * greatest(abs(e.volume), 1), false) as equal,
        s.src_offset as bar_src, e.src_offset as tick_src,
        [s.open, s.high, s.low, s.close, s.volume, s.trades] as stored,
        [e.open, e.high, e.low, e.close, e.volume, e.trades] as expected
    from stored s cross join facts
    full join expected e on s.instrument = e.instrument and s."interval" = e."interval" and s.slot = e.slot
)
select instrument, "interval", make_timestamp(slot)::varchar as start, stored, expected, case
    when equal then 'equal'
    when not settled and (bar_src > coalesce(tick, -1) or tick_src > coalesce(bar, -1)) then 'pending'
    when not in_lake and not (closed and instrument like '%.' || venue)
        and slot + seconds * 1000000 > coalesce(till, 0) then 'open'
    when not in_lake then 'missing'
    when not in_ticks then 'extra'
    else 'differs' end as verdict
from joined cross join facts join spans using ("interval") left join seen using (instrument)
"""
_EQUAL = """select "interval", count(*) as n from judged where verdict = 'equal' group by "interval" order by n desc"""
_FIRST = """
select * from judged where verdict in ('missing', 'extra', 'differs') order by start, instrument, "interval"
"""
WRONG = ("missing", "extra", "differs")


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many bars had each verdict, by interval, and the first mismatches as plain rows."""

    counts: dict[str, int]
    intervals: dict[str, int]
    mismatches: list[dict[str, Any]]

    @property
    def wrong(self) -> int:
        """Return the number of mismatches."""
        return sum(self.counts.get(verdict, 0) for verdict in WRONG)


def expected_bars(ticks: pa.Table) -> pa.Table:
    """Return the bars of all five intervals; `slot` is the start in us, `src_offset` the newest cause of each."""
    return query(_EXPECTED, ticks=ticks, spans=_SPANS)


def compare(
    expected: pa.Table, ticks: pa.Table, bars: pa.Table, *, settled: bool, closed: bool, venue: str = "%"
) -> Comparison:
    """Judge each bar. `settled`: no sink holds rows back; `closed`: the feed of `venue` has ended, its bars too."""
    given = {
        "settled": settled,
        "closed": closed,
        "tolerance": VOLUME_TOLERANCE,
        "patience": PATIENCE_US,
        "venue": venue,
    }
    facts = pa.table({name: [value] for name, value in given.items()})
    judged = query(_COMPARED, expected=expected, ticks=ticks, bars=bars, spans=_SPANS, facts=facts)
    return Comparison(
        counts=dict(Counter(judged["verdict"].to_pylist())),
        intervals={str(r["interval"]): int(r["n"]) for r in rows(_EQUAL, judged=judged)},
        mismatches=rows(_FIRST, judged=judged)[:SHOWN],
    )
