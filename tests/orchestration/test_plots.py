"""Charts are small PNGs, also of one point or of nothing; the summary is right."""

import base64
from datetime import timedelta
from itertools import pairwise

import pytest

from orchestration.plots import MAX_BYTES, MAX_LINES, price_chart, rate_chart, summary
from tests.orchestration.lakes import Row, bars, table_of, ticks
from trading.schemas import BARS_V1, TICKS_V1

TICKS = ticks()
BARS = bars(TICKS)


def _png(markdown: str) -> bytes:
    _, _, rest = markdown.partition("(data:image/png;base64,")
    return base64.b64decode(rest.removesuffix(")"))


@pytest.mark.parametrize("count", [0, 1, len(BARS)])
def test_a_price_chart_is_a_small_png(count: int) -> None:
    png = _png(price_chart(table_of(BARS_V1, BARS[:count])))
    assert png.startswith(b"\x89PNG")
    assert len(png) < MAX_BYTES


@pytest.mark.parametrize("count", [0, 1, len(TICKS)])
def test_a_rate_chart_is_a_small_png(count: int) -> None:
    assert _png(rate_chart(table_of(TICKS_V1, TICKS[:count]))).startswith(b"\x89PNG")


def test_a_full_day_of_many_instruments_stays_small() -> None:
    first = next(bar for bar in BARS if bar["interval"] == "1m")
    many: list[Row] = [
        first
        | {"instrument": f"I{i}.SIM", "ts": first["ts"] + timedelta(minutes=m), "close": 50 + (i * 31 + m * 17) % 97}
        for i in range(MAX_LINES + 2)
        for m in range(0, 1_440, 3)
    ]
    assert len(_png(price_chart(table_of(BARS_V1, many)))) < MAX_BYTES


def test_the_summary_of_each_instrument() -> None:
    found = summary(table_of(TICKS_V1, TICKS[::-1]))
    assert [row["instrument"] for row in found] == ["BTC-USD.SIM", "ETH-USD.SIM"]
    for row in found:
        mine = [tick for tick in TICKS if tick["instrument"] == row["instrument"]]
        trades = [tick for tick in mine if tick["kind"] == "trade"]
        assert all(a["ts"] < b["ts"] for a, b in pairwise(trades))
        assert row == {
            "instrument": row["instrument"],
            "ticks": len(mine),
            "trades": len(trades),
            "first": trades[0]["price"],
            "last": trades[-1]["price"],
            "low": min(tick["price"] for tick in trades),
            "high": max(tick["price"] for tick in trades),
            "volume": sum(tick["qty"] for tick in trades),
        }
