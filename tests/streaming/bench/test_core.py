"""The core bench runs small, checks its state, and reads a peer."""

import json
import sys

import pytest

from streaming.bench import core

PEER = f'{sys.executable} -c "print(\'noise\'); print(\'{{\\"orders_per_s\\": 10, \\"us_per_check\\": 2}}\')"'


@pytest.mark.parametrize("journal", [False, True])
def test_the_core_bench(journal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--journal"] if journal else []
    assert core.main(["--json", "--orders", "50", "--rounds", "1", "--peer", PEER, *flags]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["orders"], figures["journal"], figures["peer_orders_per_s"]) == (50, journal, 10)
    assert figures["ratio"] == pytest.approx(figures["orders_per_s"] / 10)
