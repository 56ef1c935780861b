"""Each check passes on sound data and fails on the fault that it is for."""

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from orchestration import checks
from orchestration.checks import Finding
from streaming.adapters.lake import arrow_schema
from tests.orchestration.lakes import INSTRUMENTS, SECONDS, bars, table_of, ticks
from trading.schemas import BARS_V1, CLEAN_TICKS_V1, TICKS_V1

TICKS = ticks()
BARS = bars(TICKS)
NS = 1_000_000_000


def _match(tick_rows: list[Any], bar_rows: list[Any], *, settled: bool = True, closed: bool = True) -> Finding:
    finding, _ = checks.bars_match(
        table_of(TICKS_V1, tick_rows), table_of(BARS_V1, bar_rows), settled=settled, closed=closed
    )
    return finding


def test_schema() -> None:
    wanted = arrow_schema(CLEAN_TICKS_V1)
    assert checks.schema(wanted, wanted).passed
    assert "price is missing" in checks.schema(wanted.remove(wanted.get_field_index("price")), wanted).message
    assert "extra is not a column" in checks.schema(wanted.append(pa.field("extra", pa.int8())), wanted).message
    changed = wanted.set(wanted.get_field_index("flags"), pa.field("flags", pa.string()))
    assert checks.schema(changed, wanted).message == "flags is string, not int32"


@pytest.mark.parametrize(
    "fault",
    [
        {"low": 1e9},
        {"high": 0.0},
        {"close": 1e9},
        {"volume": -1.0},
        {"trades": -1},
        {"open": None},
        {"volume": float("inf")},
        {"low": float("nan")},
    ],
)
def test_ohlc(fault: dict[str, Any]) -> None:
    assert checks.ohlc(table_of(BARS_V1, BARS)).passed
    finding = checks.ohlc(table_of(BARS_V1, [BARS[0] | fault, *BARS[1:]]))
    assert not finding.passed
    assert finding.figures == {"bad": 1}


def test_unique_keys() -> None:
    key = ("src_partition", "src_offset", "src_row")
    assert checks.unique("source_key", table_of(TICKS_V1, TICKS), key).passed
    finding = checks.unique("source_key", table_of(TICKS_V1, [*TICKS, TICKS[3]]), key)
    assert (finding.passed, finding.figures["repeats"]) == (False, 1)


def test_conserved_rows() -> None:
    assert checks.conserved(10, 8, 2).passed
    assert "1 lost" in checks.conserved(10, 7, 2).message


def test_tiles_and_counts_of_ranges() -> None:
    assert checks.tiled(4, []).passed
    assert not checks.tiled(4, ["ticks-0: gap at version 3"]).passed
    assert checks.counted(5, 5).passed
    assert not checks.counted(5, 6).passed


def test_gaps() -> None:
    sound = checks.gaps(table_of(TICKS_V1, TICKS), table_of(BARS_V1, BARS))
    assert (sound.passed, sound.figures["silences"]) == (True, 0)
    minutes = [bar for bar in BARS if bar["interval"] == "1m"]
    finding = checks.gaps(table_of(TICKS_V1, TICKS), table_of(BARS_V1, [bar for bar in BARS if bar != minutes[4]]))
    assert (finding.passed, finding.figures["missing_bars"]) == (False, 1)


def test_silences_are_counted_and_not_judged() -> None:
    quiet = [row for row in TICKS if not 5 <= row["ts"].minute - 30 < 10]
    finding = checks.gaps(table_of(TICKS_V1, quiet), table_of(BARS_V1, bars(quiet)))
    assert finding.passed
    assert finding.figures["silences"] == 2
    assert 300 < float(finding.figures["longest_silence_s"]) < 320


def test_freshness() -> None:
    assert checks.fresh(100 * NS, 50 * NS, 60).passed
    late = checks.fresh(100 * NS, 30 * NS, 60)
    assert (late.passed, late.figures) == (False, {"behind_s": 70.0})
    assert not checks.fresh(100 * NS, None, 60).passed
    assert checks.fresh(None, None, 60).passed


def test_all_bars_equal_the_ticks() -> None:
    finding = _match(TICKS, BARS)
    assert finding.passed
    assert finding.figures["equal"] == len(BARS)
    assert {name for name in finding.figures if name.startswith("equal_")} == {
        f"equal_{interval}" for interval in ("1m", "5m", "15m", "1h", "1d")
    }


@pytest.mark.parametrize("interval", ["1m", "5m", "15m", "1h", "1d"])
@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume", "trades"])
def test_a_wrong_bar_of_any_interval_is_found(interval: str, field: str) -> None:
    index = next(i for i, bar in enumerate(BARS) if bar["interval"] == interval)
    wrong = [*BARS[:index], BARS[index] | {field: BARS[index][field] + 1}, *BARS[index + 1 :]]
    finding = _match(TICKS, wrong)
    assert finding.figures["differs"] == 1
    assert f"{BARS[index]['instrument']} {interval}" in finding.message


def test_a_missing_and_an_invented_bar_are_found() -> None:
    missing = _match(TICKS, BARS[1:])
    assert (missing.passed, missing.figures["missing"]) == (False, 1)
    invented = _match([row for row in TICKS if row["instrument"] == "BTC-USD.SIM"], BARS)
    assert (invented.passed, "extra" in invented.figures) == (False, True)


def test_only_the_latest_revision_counts() -> None:
    stale = BARS[0] | {"close": 1.0, "volume": 0.5}
    assert _match(TICKS, [stale, BARS[0] | {"revision": 1}, *BARS[1:]]).passed
    assert not _match(TICKS, [BARS[0], stale | {"revision": 1}, *BARS[1:]]).passed


def test_a_bar_that_may_still_be_open_is_no_mismatch_until_the_feed_has_ended() -> None:
    last = max(bar["ts"] for bar in BARS if bar["interval"] == "1m")
    ended = [bar for bar in BARS if bar["ts"] + timedelta(seconds=SECONDS[bar["interval"]]) <= last]
    running = _match(TICKS, ended, closed=False)
    assert running.passed
    assert running.figures["open"] == len(BARS) - len(ended)
    assert not _match(TICKS, ended).passed
    holed = [bar for bar in ended if (bar["interval"], bar["ts"].minute) != ("5m", 35)]
    assert _match(TICKS, holed, closed=False).figures["missing"] == len(INSTRUMENTS)


def test_a_bar_ahead_of_its_ticks_is_pending_only_while_the_sinks_work() -> None:
    behind = [row for row in TICKS if row["src_offset"] < 30]
    assert _match(behind, BARS, settled=False, closed=False).passed
    assert not _match(behind, BARS, settled=True, closed=False).passed


def test_filled_bars_without_trades_are_not_compared() -> None:
    filler = BARS[0] | {"ts": BARS[0]["ts"].replace(hour=3), "trades": 0, "volume": 0.0, "flags": 32}
    assert _match(TICKS, [*BARS, filler]).passed
