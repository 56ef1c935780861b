import json
import sys
from pathlib import Path

import pytest

from streaming.bench import backtest


def peer(tmp_path: Path, **line: object) -> str:
    """Return the command of a peer that prints this line."""
    program = tmp_path / "peer.py"
    program.write_text(f"import json\nprint('noise')\nprint(json.dumps({line!r}))\n")
    return f"{sys.executable} {program}"


def test_a_small_run_reports_and_has_no_refusals() -> None:
    figures = backtest.measure(3_000, "next-open", rounds=1)
    assert figures["passed"]
    assert figures["fills"] > 0
    sealed = backtest.measure(3_000, "next-open", rounds=1, journal=True)
    assert (sealed["fills"], sealed["final_equity"]) == (figures["fills"], figures["final_equity"])
    json.dumps(figures)


@pytest.mark.parametrize(("extra", "cents", "passed"), [(0, 0.0, True), (1, 0.0, False), (0, 0.02, False)])
def test_a_peer_must_agree_on_fills_and_on_the_cent(tmp_path: Path, extra: int, cents: float, passed: bool) -> None:
    mine = backtest.measure(2_000, "same-close", rounds=1)
    says = {
        "peer": "p",
        "bars_per_s": 1,
        "cpu_s": 1e6,
        "fills": mine["fills"] + extra,
        "final_equity": mine["final_equity"] + cents,
    }
    figures = backtest.measure(2_000, "same-close", rounds=1, command=peer(tmp_path, **says))
    assert (figures["equal"], figures["passed"]) == (passed, passed)
    assert figures["ratio"] > 1
    assert figures["cpu_ratio"] > 1


def test_a_slower_run_than_the_peer_fails_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = backtest.measure(500, "next-open", rounds=1)
    fast = peer(tmp_path, peer="p", bars_per_s=1e12, fills=mine["fills"], final_equity=mine["final_equity"])
    assert backtest.main(["--bars", "500", "--rounds", "1", "--json", "--peer", fast]) == 1
    assert json.loads(capsys.readouterr().out)["equal"]
    assert backtest.main(["--bars", "500", "--rounds", "1"]) == 0
    assert "bars_per_s" in capsys.readouterr().out
