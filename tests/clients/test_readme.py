"""The example of the README runs as it is printed there, but for the address."""

import json
import re
import runpy
from pathlib import Path

import msgspec
import pytest
from alpaca.trading.enums import OrderStatus

from tests.api_rig import KEYS, Served
from tests.clients.test_alpaca_py import client_of, listed
from tests.conftest import ROOT

BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
ADDRESS = "127.0.0.1:8321"


def test_the_example_trades(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = (text for text in BLOCK.findall((ROOT / "README.md").read_text()) if "TradingClient" in text)
    (tmp_path / "var").mkdir()
    keys = {"version": 1, "keys": [msgspec.to_builtins(KEYS["a"])]}
    (tmp_path / "var" / "keys.json").write_text(json.dumps(keys))
    (tmp_path / "example.py").write_text(example.replace(ADDRESS, served.address))
    monkeypatch.chdir(tmp_path)
    runpy.run_path("example.py")
    cash, status = capsys.readouterr().out.splitlines()
    assert (cash, status) == ("1000000", str(OrderStatus.PENDING_NEW))
    assert len(listed(client_of(served))) == 1
