"""`trade backtest` over small files and over the real ones."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.backtest_data import load
from orchestration.commands.backtest import Options, run
from orchestration.commands.failure import EXIT_CONFIG, CommandError
from orchestration.lake_io import LakeIO
from streaming.adapters.lake import Lake
from tests.orchestration import lakes, market_files
from tests.trading.backtest.oracle import sma_oracle
from trading.backtest.conventions import Name
from trading.instruments import CATALOGUE
from trading.schemas import CLEAN_BARS_V1

SMA = Options(
    strategy="sma",
    data="",
    quotes=None,
    symbol=None,
    interval="1m",
    fills="next-open",
    parameters={"fast": 3, "slow": 8, "qty": "10", "short": None},
    cash="1000000",
    fee_bps=10.0,
    participation=1.0,
    half_spread=1,
    report=None,
    config=None,
    as_json=True,
)


def shown(capsys: pytest.CaptureFixture[str], options: Options) -> dict[str, object]:
    """Run, and return the JSON that was printed."""
    assert run(options) == 0
    printed: dict[str, object] = json.loads(capsys.readouterr().out)
    return printed


@pytest.mark.parametrize("fills", ["next-open", "same-close", "bid-ask"])
@pytest.mark.parametrize("kind", ["bars", "trades"])
def test_each_kind_of_data_in_each_convention(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, fills: str
) -> None:
    data = getattr(market_files, kind)(tmp_path / "data.parquet")
    plain = shown(capsys, replace(SMA, data=data, fills=fills))  # type: ignore[arg-type]  # a parameter's text
    assert int(str(plain["fills"])) >= 8
    assert (plain["convention"], plain["refusals"], plain["warnings"]) == (fills, {}, [])


def test_a_table_and_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, report = market_files.daily(tmp_path / "d.parquet"), tmp_path / "new" / "out.html"
    assert (
        run(replace(SMA, data=data, strategy="reversion", parameters={"window": 2}, report=report, as_json=False)) == 0
    )
    printed = capsys.readouterr()
    assert "final equity" in printed.out
    assert f"report: {report}" in printed.out
    assert "split" in printed.err
    assert "reversion on SPY.US, next-open" in report.read_text()


def test_the_lake_of_the_data_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADE_HOME", str(tmp_path))
    rows = lakes.table_of(CLEAN_BARS_V1, lakes.bars(lakes.ticks()))
    LakeIO(Lake(tmp_path / "lake")).replace(CLEAN_BARS_V1, lakes.DAY, rows)
    plain = shown(capsys, replace(SMA, data="lake", symbol="BTC-USD.SIM", parameters={"fast": 2, "slow": 3}))
    assert (plain["instrument"], plain["marks"]) == ("BTC-USD.SIM", lakes.MINUTES)
    assert int(str(plain["fills"])) > 0


def test_what_the_gate_refuses_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = shown(capsys, replace(SMA, data=market_files.bars(tmp_path / "b.parquet"), cash="100"))
    assert plain["fills"] == 0
    assert "MAX_ORDER_VALUE" in plain["refusals"]  # type: ignore[operator]  # a dict


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"data": "absent.parquet"}, "DATA_MISSING"),
        ({"parameters": {"fast": 9, "slow": 3}}, "PARAMETERS_INVALID"),
        ({"parameters": {"qty": "much"}}, "NOT_A_NUMBER"),
        ({"parameters": {"qty": "-1"}}, "NOT_POSITIVE"),
        ({"parameters": {"qty": "0"}}, "NOT_POSITIVE"),
        ({"parameters": {"window": 3}}, "PARAMETERS_INVALID"),
        ({"cash": "-1"}, "CASH_MISSING"),
        ({"quotes": "absent.parquet"}, "QUOTES_NOT_USED"),
    ],
)
def test_a_mistake_has_a_code_and_an_exit_code(tmp_path: Path, changes: dict[str, object], code: str) -> None:
    options = replace(SMA, data=market_files.bars(tmp_path / "b.parquet"))
    with pytest.raises(CommandError) as caught:
        run(replace(options, **changes))  # type: ignore[arg-type]  # a test's changes
    assert (caught.value.code, caught.value.exit_code) == (code, EXIT_CONFIG)


@pytest.mark.parametrize(
    ("file", "symbol", "fills"),
    [
        ("btc_perp_1m_202201.parquet", None, "next-open"),
        ("us_equity_daily.parquet", "SPY", "same-close"),
        ("us_equity_trades_20131007.parquet", "IBM", "bid-ask"),
        ("us_equity_trades_20131007.parquet", "IBM", "next-open"),
    ],
)
def test_the_real_data_run(
    capsys: pytest.CaptureFixture[str], shared_data: Callable[[str], Path], file: str, symbol: str | None, fills: str
) -> None:
    small = replace(SMA, parameters={"fast": 10, "slow": 30, "qty": "1"}, data=str(shared_data(file)), symbol=symbol)
    plain = shown(capsys, replace(small, fills=fills))  # type: ignore[arg-type]  # a parameter's text
    assert int(str(plain["fills"])) > 20
    assert plain["refusals"] == {}
    assert 900_000 < float(str(plain["final_equity"])) < 1_100_000


def test_real_quotes_fill_between_the_best_sides(
    capsys: pytest.CaptureFixture[str], shared_data: Callable[[str], Path]
) -> None:
    data, quotes = (str(shared_data(f"us_equity_{kind}_20131007.parquet")) for kind in ("trades", "quotes"))
    options = replace(SMA, data=data, symbol="IBM", fills="bid-ask", interval="5m", fee_bps=0.0)
    without, beside = shown(capsys, options), shown(capsys, replace(options, quotes=quotes))
    assert beside["orders"] == without["orders"]
    assert int(str(beside["fills"])) >= int(str(beside["orders"]))
    assert float(str(beside["final_equity"])) == pytest.approx(1_000_000, abs=500)


@pytest.mark.parametrize("fills", ["next-open", "same-close", "bid-ask"])
@pytest.mark.parametrize(("file", "symbol"), [("btc_perp_1m_202201.parquet", None), ("us_equity_daily.parquet", "SPY")])
def test_real_bars_give_the_fills_and_the_equity_of_a_plain_loop(
    capsys: pytest.CaptureFixture[str], shared_data: Callable[[str], Path], file: str, symbol: str | None, fills: Name
) -> None:
    data = str(shared_data(file))
    found = load(data, symbol, "1m", CATALOGUE, None)
    count, equity = sma_oracle(found.bars, fills, qty=1, scale=found.instrument.price_scale)
    plain = shown(capsys, replace(SMA, parameters={"qty": "1"}, data=data, symbol=symbol, fills=fills))
    if fills == "bid-ask":
        # The command counts the spread in ticks, the loop in units of the scale.
        equity -= count * (found.instrument.tick - 1) / 10**found.instrument.price_scale
        assert float(str(plain["final_equity"])) == pytest.approx(equity, abs=0.05)
    else:
        assert float(str(plain["final_equity"])) == pytest.approx(equity, abs=0.005)
    assert plain["fills"] == count
