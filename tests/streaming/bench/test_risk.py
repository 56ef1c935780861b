"""The risk bench runs small and reads a peer."""

import json
import sys

import pytest

from streaming.bench import risk

PEER = f'{sys.executable} -c "print(\'{{\\"us_per_check\\": 2}}\')"'


def test_the_risk_bench(capsys: pytest.CaptureFixture[str]) -> None:
    assert risk.main(["--json", "--checks", "200", "--rounds", "1", "--peer", PEER]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["checks"], figures["peer_us_per_check"]) == (200, 2)
    assert figures["p50_us"] <= figures["p99_us"]
