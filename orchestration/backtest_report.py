"""A backtest as one HTML file that needs nothing else: figures, equity and drawdown as a picture, round trips."""

import base64
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from trading.backtest.metrics import drawdown
from trading.backtest.result import CASH_UNITS, Result

MAX_POINTS = 2_000
MAX_TRIPS = 1_000
DPI = 110
PERCENT = frozenset({"total_return", "annual_return", "max_drawdown", "exposure", "hit_rate"})
NAMES = {"max_drawdown_s": "longest drawdown", "trades": "round trips"}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1c1f23; }
h1 { font-size: 1.4rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p { color: #555c66; margin-top: .25rem; } img { width: 100%; } .warning { color: #9a4b00; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #e3e6ea; }
th:first-child, td:first-child { text-align: left; }
"""


def figures(result: Result) -> dict[str, Any]:
    """Return the figures of a run as plain data; what is undefined is None."""
    metrics = {name: getattr(result.metrics, name) for name in result.metrics.__slots__}
    plain = {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in metrics.items()}
    return {
        "instrument": result.instrument.id,
        "marks": len(result.curve.ts_ns),
        "from": _time(result.curve.ts_ns[0]),
        "to": _time(result.curve.ts_ns[-1]),
        "orders": len(result.orders),
        "fills": len(result.fills),
        "refusals": dict(Counter(refusal.code for refusal in result.refusals)),
        "fees": result.fees / CASH_UNITS,
        "final_equity": result.final_equity / CASH_UNITS,
        **plain,
    }


def lines(plain: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return name and text of each figure, for people."""
    return [(NAMES.get(name, name.replace("_", " ")), _text(name, value)) for name, value in plain.items()]


def to_html(title: str, result: Result, warnings: Iterable[str] = ()) -> str:
    """Return the report of a run."""
    plain = figures(result)
    refused = [(code, f"{count:,}") for code, count in plain.pop("refusals").items()]
    trips = [
        (
            _time(trip.opened_ns),
            _time(trip.closed_ns),
            "long" if trip.side > 0 else "short",
            f"{trip.qty / 10**result.instrument.qty_scale:g}",
            f"{trip.pnl / CASH_UNITS:,.2f}",
        )
        for trip in result.trips[:MAX_TRIPS]
    ]
    more = f", the first {MAX_TRIPS:,} of {len(result.trips):,}" if len(result.trips) > MAX_TRIPS else ""
    parts = [
        f"<h1>{escape(title)}</h1><p>{escape(plain['from'])} to {escape(plain['to'])}</p>",
        *(f'<p class="warning">{escape(warning)}</p>' for warning in warnings),
        f'<img alt="Equity and drawdown" src="data:image/png;base64,{base64.b64encode(picture(result)).decode()}">',
        "<h2>Figures</h2>" + _table(("figure", "value"), lines(plain)),
        "<h2>Refused by the risk gate</h2>" + _table(("code", "times"), refused) if refused else "",
        f"<h2>Round trips{more}</h2>" + _table(("opened", "closed", "side", "quantity", "profit"), trips),
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def picture(result: Result) -> bytes:
    """Return equity over drawdown as PNG bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    equity = result.curve.equity.astype(np.float64) / CASH_UNITS
    times = result.curve.ts_ns.astype("datetime64[ns]")
    chosen = _extremes(equity)
    figure = Figure(figsize=(10, 5.5), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot(times[chosen], equity[chosen], linewidth=1, color="#1f6feb")
    above.set_title("Equity", loc="left", fontsize=11)
    above.set_ylabel(result.instrument.currency)
    above.yaxis.set_major_formatter("{x:,.0f}")
    fall = drawdown(equity)[chosen] * 100
    below.fill_between(times[chosen], fall, 0, color="#b0305c", alpha=0.5, linewidth=0)
    below.set_title("Drawdown", loc="left", fontsize=11)
    below.set_ylabel("%")
    for axes in (above, below):
        axes.grid(visible=True, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]  # no stubs
    below.xaxis.set_major_locator(locator)
    below.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # no stubs
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    return drawn.getvalue()


def _extremes(equity: Any) -> Any:
    """Return the places to draw: of each part the lowest and the highest, so that no fall is drawn away."""
    step = -(-len(equity) // (MAX_POINTS // 2))
    if step <= 1:
        return np.arange(len(equity))
    edges = np.arange(0, len(equity), step)
    lows = [edge + int(np.argmin(equity[edge : edge + step])) for edge in edges.tolist()]
    highs = [edge + int(np.argmax(equity[edge : edge + step])) for edge in edges.tolist()]
    return np.unique([0, *lows, *highs, len(equity) - 1])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{cells}</table>"


def _text(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in PERCENT:
        return f"{value:.2%}"
    if name == "max_drawdown_s":
        return f"{value / 86_400:,.1f} days"
    if isinstance(value, dict):
        return ", ".join(f"{code} {count:,}" for code, count in value.items()) or "none"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _time(ts_ns: Any) -> str:
    return str(np.datetime64(int(ts_ns), "ns").astype("datetime64[s]")).replace("T", " ")
