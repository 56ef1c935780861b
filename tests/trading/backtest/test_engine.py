"""Whole runs over bars: equal to plain loops of their own, reproducible, exact at every mark, never around the gate."""

import importlib.util
import json
import subprocess
import sys
from hashlib import sha256

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.bench.backtest import INSTRUMENT, make_bars, run
from tests.conftest import ROOT
from tests.trading.backtest.oracle import sma_oracle
from tests.trading.backtest.worlds import MINUTE_NS, T0, XYZ, Act, Row, Script, flat, order, series
from trading.backtest.conventions import BidAsk, Convention, Name, NextOpen, SameClose
from trading.backtest.engine import run_bars
from trading.backtest.result import Result
from trading.backtest.terms import Terms, default_limits
from trading.instruments import InstrumentTable
from trading.orders.journal import read_record, verify
from trading.routing.models import Models, PpmFee
from trading.strategies.runner import Runner
from trading.strategies.sma import SmaCross, SmaParameters

PEERS = ROOT.parent / "shared" / "bench" / "peers"
CONVENTIONS: list[Convention] = [NextOpen(), SameClose(), BidAsk(1)]


@pytest.mark.parametrize("fills", ["next-open", "same-close", "bid-ask"])
def test_fills_and_equity_equal_an_own_loop_to_the_cent(fills: Name) -> None:
    bars = make_bars(20_000)
    result = run(bars, fills)
    count, equity = sma_oracle(bars, fills, qty=10, scale=6)
    assert (len(result.fills), result.refusals) == (count, [])
    assert result.final_equity / 1e9 == pytest.approx(equity, abs=0.005)


def test_the_known_figures_of_the_reference_in_all_conventions() -> None:
    bars = make_bars(100_000)
    known = {"next-open": 996_535.0387, "same-close": 996_531.8143, "bid-ask": 996_531.7765}
    for name, equity in known.items():
        result = run(bars, name)  # type: ignore[arg-type]  # a dict's keys are str
        assert (len(result.fills), round(result.final_equity / 1e9, 4)) == (3_780, equity)


@pytest.mark.skipif(not (PEERS / "bt_reference.py").exists(), reason="the peer measurements are not beside the repo")
@pytest.mark.parametrize(("mode", "fills"), [("next", "next-open"), ("close", "same-close")])
def test_fills_and_equity_equal_the_reference_program(mode: str, fills: Name) -> None:
    command = [sys.executable, "-B", str(PEERS / "bt_reference.py"), "5000", mode]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=PEERS)
    theirs = json.loads(done.stdout.splitlines()[-1])
    result = run(make_bars(5_000), fills)
    assert len(result.fills) == theirs["fills"]
    assert result.final_equity / 1e9 == pytest.approx(theirs["final_equity"], abs=0.005)
    assert result.fees / 1e9 == pytest.approx(theirs["fees"], abs=0.005)


@pytest.mark.skipif(not (PEERS / "common.py").exists(), reason="the peer measurements are not beside the repo")
def test_the_bars_are_those_of_the_peers() -> None:
    spec = importlib.util.spec_from_file_location("peer_data", PEERS / "common.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    bars = make_bars(1_000)
    mine = (bars.ts_ns, bars.open, bars.high, bars.low, bars.close, bars.volume)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(mine, module.bars(1_000), strict=True))


@st.composite
def markets(draw: st.DrawFn) -> list[Row]:
    rows = []
    for _ in range(draw(st.integers(1, 25))):
        low = draw(st.integers(50, 150))
        high = low + draw(st.integers(0, 20))
        inside = st.integers(low, high)
        rows.append((draw(inside), high, low, draw(inside), draw(st.integers(0, 60))))
    return rows


acts = st.dictionaries(
    st.integers(0, 24),
    st.builds(
        order,
        st.integers(-40, 40).filter(bool),
        st.none() | st.integers(40, 170),
        st.none() | st.integers(40, 170),
        st.sampled_from(["gtc", "day"]),
    ),
    max_size=8,
)


def fingerprint(result: Result) -> str:
    seen = (result.orders, result.fills, result.refusals, result.curve.equity.tolist(), result.metrics)
    return sha256(repr(seen).encode()).hexdigest()


@given(markets(), acts, st.sampled_from(CONVENTIONS))
@settings(max_examples=60, deadline=None)
def test_equity_is_cash_plus_position_times_mark_at_each_bar(
    rows: list[Row], acts: dict[int, Act], how: Convention
) -> None:
    terms = Terms(cash="1000", convention=how, models=Models(fees=PpmFee(500, 1_000)))
    bars = series(rows, gap_ns=1)
    result = run_bars(Script(acts), "script", bars, XYZ, terms)
    cash, held, place = 1_000 * 10**9, 0, 0
    for n in range(len(bars)):
        while place < len(result.fills) and result.fills[place].ts_ns <= bars.ts_ns[n]:
            fill = result.fills[place]
            value = fill.qty * fill.price * 10**7
            cash -= (value if fill.side == "buy" else -value) + fill.fee
            held += fill.qty if fill.side == "buy" else -fill.qty
            place += 1
        assert int(result.curve.equity[n]) == cash + held * rows[n][3] * 10**7
        assert (int(result.curve.cash[n]), int(result.curve.position[n])) == (cash, held)
    assert place == len(result.fills)
    again = run_bars(Script(acts), "script", bars, XYZ, terms)
    assert fingerprint(again) == fingerprint(result)


@given(markets(), acts, st.sampled_from(CONVENTIONS))
@settings(max_examples=60, deadline=None)
def test_no_fill_is_outside_of_its_bar_or_beyond_its_limit(
    rows: list[Row], acts: dict[int, Act], how: Convention
) -> None:
    terms = Terms(cash="1000", convention=how)
    result = run_bars(Script(acts), "script", series(rows, gap_ns=1), XYZ, terms)
    intents = {intent.order: intent for intent in result.orders}
    half = 1 if isinstance(how, BidAsk) else 0
    for fill in result.fills:
        intent, side = intents[fill.order], 1 if fill.side == "buy" else -1
        assert intent.limit_price is None or side * (intent.limit_price - fill.price) >= 0
        bar = (fill.ts_ns - T0) // (MINUTE_NS + 1)
        assert rows[bar][2] - half <= fill.price <= rows[bar][1] + half
        assert fill.ts_ns >= intent.ts_ns


def test_what_the_gate_refuses_is_in_the_result_and_never_trades() -> None:
    terms = Terms(limits=msgspec.structs.replace(default_limits("1000000"), max_order_qty="5"))
    result = run_bars(Script({0: order(6), 1: order(5)}), "script", series(flat([100, 100, 100])), XYZ, terms)
    assert [refusal.code for refusal in result.refusals] == ["MAX_ORDER_QTY"]
    assert [fill.qty for fill in result.fills] == [5]


def test_an_order_that_cannot_be_paid_for_is_refused() -> None:
    result = run_bars(Script({0: order(11)}), "script", series(flat([10_000] * 3)), XYZ, Terms(cash="1000"))
    assert {refusal.code for refusal in result.refusals} == {"MAX_ORDER_VALUE"}
    assert (result.final_equity, len(result.orders)) == (1_000 * 10**9, 0)


def test_the_engine_and_a_caller_bar_by_bar_see_the_same_commands() -> None:
    bars = make_bars(3_000)
    result = run(bars, "same-close")
    strategy = SmaCross(SmaParameters(instrument=INSTRUMENT.id, qty="10"))
    runner = Runner(strategy, "sma", "backtest", InstrumentTable([INSTRUMENT]))
    assert runner.start(int(bars.start_ns[0])) == []
    events = {fill.ts_ns: fill for fill in result.fills}
    asked = []
    for bar in bars.rows():
        commands = runner.bar(bar)
        asked += [(command.ts_ns, getattr(command, "client_order_id", "")) for command in commands]
        if commands:
            assert runner.events([events[bar.ts_ns]]) == []
    assert asked == [(intent.ts_ns, intent.client_order_id) for intent in result.orders]


def test_every_command_is_sealed_into_a_journal_that_verifies() -> None:
    sealed: list[bytes] = []
    bars = make_bars(2_000)
    strategy = SmaCross(SmaParameters(instrument=INSTRUMENT.id, qty="10"))
    with_journal = run_bars(strategy, "sma", bars, INSTRUMENT, journal=sealed.append)
    without = run_bars(SmaCross(SmaParameters(instrument=INSTRUMENT.id, qty="10")), "sma", bars, INSTRUMENT)
    assert fingerprint(with_journal) == fingerprint(without)
    assert verify(sealed)[0] == len(sealed) == 3 + 3 * len(without.fills)
    fills = [event for record in map(read_record, sealed) for event in record.events if event in without.fills]
    assert fills == list(without.fills)
