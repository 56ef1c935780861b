"""The stations against a scripted platform; test_gate runs them on a real one."""

from pathlib import Path
from typing import Any

import pytest

from orchestration.gate import flow
from orchestration.gate.flow import trading_flow
from orchestration.gate.site import Key
from tests.orchestration.gate.scripted import ScriptedSite

ORDER = {"id": "0-1", "status": "filled", "filled_qty": "0.001", "filled_avg_price": "60000"}
WHY = {"risk": {}, "steps": [{"hash_is_right": True, "events": [{"kind": "order_filled"}]}]}


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PRICE_S", "FILL_S", "LAKE_S"):
        monkeypatch.setattr(flow, name, 0.0)


def failed(home: Path, **changed: tuple[int, Any]) -> list[tuple[str, str]]:
    """Return what failed on a platform that answers well but for the named paths."""
    held = iter(["0", *["0.001"] * 9])

    def script(method: str, path: str, _key: Key | None, body: Any) -> tuple[int, Any]:
        for part, answer in changed.items():
            if part in path and not (part == "orders" and ("why" in path or body is None)):
                return answer
        if path == "/v1/risk/check":
            return 200, {"passes": True, "code": None, "limits_version": 1}
        if path == "/v1/limits":
            return 200, {"limits": {"max_order_qty": "10"}}
        if path.endswith("/why"):
            return 200, WHY
        if path.startswith("/v2/positions"):
            return 200, {"qty": next(held)}
        if method == "POST" and body["qty"] == "11":
            return 403, {"reason": "MAX_ORDER_QTY"}
        return 200, ORDER

    found = trading_flow(ScriptedSite(home, script))
    return [(each.name, each.message) for each in found if not each.passed]


def test_what_is_not_in_the_lake_stops_the_gate(tmp_path: Path) -> None:
    names = [name for name, _ in failed(tmp_path)]
    assert names == ["persistence", "flat"]
    assert failed(tmp_path)[1] == ("flat", "not asked: persistence failed")


@pytest.mark.parametrize(
    ("part", "answer", "first", "words"),
    [
        ("check", (200, {"passes": False, "code": "KILL_SWITCH", "limits_version": 1}), "risk", "KILL_SWITCH"),
        ("check", (503, {"code": "NOT_READY"}), "risk", "NOT_READY"),
        ("limits", (404, {"code": "LIMITS_UNKNOWN"}), "risk_refusal", "LIMITS_UNKNOWN"),
        ("orders", (200, ORDER), "risk_refusal", "200"),
        ("orders", (403, {"reason": "MAX_ORDER_QTY"}), "submit", "MAX_ORDER_QTY"),
        ("0-1", (200, ORDER | {"status": "new", "filled_qty": "0"}), "fill", "new: 0 of 0.001"),
        ("positions", (404, {}), "position", "0 after, 0.001 expected"),
        ("why", (200, WHY | {"risk": None}), "why", "order_filled"),
    ],
)
def test_each_station_tells_its_fault(
    tmp_path: Path, part: str, answer: tuple[int, Any], first: str, words: str
) -> None:
    found = failed(tmp_path, **{part: answer})
    assert found[0][0] == first
    assert words in found[0][1]
    assert all(message == f"not asked: {first} failed" for _, message in found[1:])
