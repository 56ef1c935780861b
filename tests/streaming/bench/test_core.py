"""The core bench runs small, checks its state, and reads a peer."""

import json
import sys

import pytest

from streaming.bench import core

PEER = f'{sys.executable} -c "print(\'noise\'); print(\'{{\\"orders_per_s\\": 10, \\"us_per_check\\": 2}}\')"'


@pytest.mark.parametrize(("journal", "bar"), [(False, 0.0), (True, 0.0), (False, 1e12)])
def test_the_core_bench(
    journal: bool, bar: float, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "FLAT", 1e9)
    monkeypatch.setattr(core, "PEER_RATIO", bar)
    flags = ["--journal"] if journal else []
    code = core.main(["--json", "--orders", "50", "--rounds", "1", "--peer", PEER, *flags])
    assert code == (1 if bar else 0)
    figures = json.loads(capsys.readouterr().out)
    assert (figures["orders"], figures["journal"], figures["peer_orders_per_s"]) == (50, journal, 10)
    assert figures["ratio"] == pytest.approx(figures["orders_per_s"] / 10)
