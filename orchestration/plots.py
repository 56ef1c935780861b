"""Small charts and tables for asset metadata. matplotlib is imported inside, without pyplot's global state."""

import base64
import io
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from orchestration.sql import rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Every event is kept in the event log, so a chart that is too large is drawn smaller.
DPIS = (60, 45, 30)
MAX_BYTES = 50_000
MAX_LINES = 6
MAX_POINTS = 480
COLOURS = 64
_COLOURS = ("#1f6feb", "#d9730d", "#2e8b57", "#b0305c", "#7a52cc", "#666666")

_BUSIEST = """
select instrument from bars where "interval" = '1m' group by instrument
order by sum(trades) desc, instrument limit {limit}
"""
_CLOSES = """
select instrument, ts, close / first_value(close) over (partition by instrument order by ts) * 100 - 100 as change
from bars where "interval" = '1m' order by instrument, ts
"""
_RATE = """
select kind, time_bucket(interval 60 seconds, ts) as ts, count(*) / 60.0 as rate
from ticks group by all order by kind, ts
"""
_SUMMARY = """
select instrument, count(*) as ticks, count(*) filter (kind = 'trade') as trades,
    arg_min(price, (ts, coalesce(trade_id, 0))) filter (kind = 'trade') as first,
    arg_max(price, (ts, coalesce(trade_id, 0))) filter (kind = 'trade') as last,
    min(price) filter (kind = 'trade') as low, max(price) filter (kind = 'trade') as high,
    coalesce(sum(qty) filter (kind = 'trade'), 0) as volume
from ticks group by instrument order by instrument
"""


def price_chart(bars: pa.Table) -> str:
    """Return the 1m closes of the busiest instruments, as % change since the first bar, as Markdown with a PNG."""
    names = [str(found["instrument"]) for found in rows(_BUSIEST.format(limit=MAX_LINES), bars=bars)]
    lines: dict[str, tuple[list[Any], list[float]]] = {name: ([], []) for name in names}
    for point in rows(_CLOSES, bars=bars):
        if point["instrument"] in lines:
            lines[point["instrument"]][0].append(point["ts"])
            lines[point["instrument"]][1].append(point["change"])
    return _chart("1-minute closes", "% since the first bar", lines)


def rate_chart(ticks: pa.Table) -> str:
    """Return ticks per second for each minute of the day, by kind, as Markdown with a PNG."""
    lines: dict[str, tuple[list[Any], list[float]]] = {}
    for point in rows(_RATE, ticks=ticks):
        times, rates = lines.setdefault(str(point["kind"]), ([], []))
        times.append(point["ts"])
        rates.append(float(point["rate"]))
    return _chart("Tick rate", "ticks per second", lines, floor=0)


def summary(ticks: pa.Table) -> list[dict[str, Any]]:
    """Return one row for each instrument: ticks, trades, first, last, low, high, volume."""
    return rows(_SUMMARY, ticks=ticks)


def _chart(title: str, unit: str, lines: dict[str, tuple[list[Any], list[float]]], floor: float | None = None) -> str:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), dpi=DPIS[0], layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for colour, (name, (times, values)) in zip(_repeat(len(lines)), lines.items(), strict=True):
        step = -(-len(times) // MAX_POINTS)
        axes.plot(
            times[::step],
            values[::step],
            label=name,
            linewidth=1,
            color=colour,
            marker="." if len(times) == 1 else None,
        )
    axes.set_title(title, loc="left", fontsize=12)
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=floor)
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if lines:
        locator = AutoDateLocator()  # type: ignore[no-untyped-call]  # no stubs
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # no stubs
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    png = next((png for png in map(partial(_png, figure), DPIS) if len(png) < MAX_BYTES), b"")
    if not png:
        return f"{title}: too many points for a small chart"
    return f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})"


def _png(figure: "Figure", dpi: int) -> bytes:
    from PIL import Image

    figure.set_dpi(dpi)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi)
    packed = io.BytesIO()
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(packed, format="png", optimize=True)
    return packed.getvalue()


def _repeat(count: int) -> Sequence[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(count)]
