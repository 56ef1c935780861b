"""The risk bench runs small and reads a peer."""

import json
import sys

import pytest

from streaming.bench import risk

PEER = f'{sys.executable} -c "print(\'{{\\"us_per_check\\": 2}}\')"'


@pytest.mark.parametrize(("bar", "code"), [(0, 0), (10**12, 1)])
def test_the_risk_bench(
    bar: int, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(risk, "P50_US", 1e9)
    monkeypatch.setattr(risk, "P99_US", 1e9)
    monkeypatch.setattr(risk, "CHECKS_PER_S", bar)
    assert risk.main(["--json", "--checks", "200", "--rounds", "1", "--peer", PEER]) == code
    figures = json.loads(capsys.readouterr().out)
    assert (figures["checks"], figures["peer_us_per_check"]) == (200, 2)
    assert figures["p50_us"] <= figures["p99_us"]
