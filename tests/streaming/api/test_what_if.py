"""What-if answers as the gate would, to the last lot, and changes nothing."""

from pathlib import Path
from typing import Any

import pytest

from tests.streaming.api.http import ORDER, Http, api


async def ask(http: Http, **changes: Any) -> dict[str, Any]:
    answer = await http.ask("POST", "/v1/risk/check", json=ORDER | changes)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_an_order_that_passes_has_headroom(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        records = [len(journal) for journal in http.rig.desk.journal]
        told = await ask(http, qty="1")
        assert (told["passes"], told["code"], told["breaches"]) == (True, None, [])
        assert float(told["var_after"]) > float(told["var_before"]) == 0
        assert (told["equity"], told["buying_power"], told["limits_version"]) == ("1000000", "2000000", 1)
        assert float(told["headroom"]) == pytest.approx(float(told["largest"]) - 1)
        assert [len(journal) for journal in http.rig.desk.journal] == records


async def test_the_largest_passes_and_one_lot_more_does_not(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        most = (await ask(http, qty="1000", limit_price="50000"))["largest"]
        lot = 0.00000001
        assert (await ask(http, qty=most, limit_price="50000"))["passes"] is True
        assert (await ask(http, qty=f"{float(most) + lot:.8f}", limit_price="50000"))["passes"] is False
        await http.order(qty=most, limit_price="50000")


async def test_every_broken_rule_is_named_in_decimals(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        told = await ask(http, qty="1001", limit_price="60000")
        assert told["market_version"] == http.rig.desk.market.version > 0
        rules = {rule["code"]: rule for rule in told["breaches"]}
        assert told["code"] == "MAX_ORDER_QTY"
        assert (rules["MAX_ORDER_QTY"]["limit"], rules["MAX_ORDER_QTY"]["value"]) == ("1000", "1001")
        assert rules["MAX_ORDER_VALUE"]["limit"] == "100000"
        assert rules["PRICE_COLLAR"]["limit"] == "55000"
        assert rules["CONCENTRATION"]["limit"] == "250000"
        assert told["largest"] == "0"
        stale = await ask(http, symbol="SOL-USD.SIM")
        assert (stale["code"], stale["largest"]) == ("PRICE_MISSING", "0")
