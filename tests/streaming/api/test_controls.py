"""The kill switch, modes and limits: in force when answered, on record, and lifted only by another person."""

from pathlib import Path

import msgspec

from tests.streaming.api.http import ORDER, api
from tests.trading.orders.builders import limits_body


async def test_the_next_order_after_the_kill_is_refused_and_another_person_lifts_it(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        open_ = await http.order()
        await http.rig.ack(open_["id"])
        answer = await http.ask("POST", "/v1/kill", "admin", json={"reason": "drill"})
        assert answer.json() == {"killed": True, "killed_by": "admin-1", "partitions": 4, "cancels": 1}
        for key in ("a", "b"):
            refused = await http.ask("POST", "/v2/orders", key, json=ORDER | {"qty": "0.1"})
            assert (refused.status_code, refused.json()["reason"]) == (403, "KILL_SWITCH")
        assert (await http.get(f"/v2/orders/{open_['id']}"))["status"] == "pending_cancel"
        same = await http.ask("DELETE", "/v1/kill", "admin")
        assert (same.status_code, same.json()["code"]) == (409, "SAME_PERSON")
        assert (await http.get("/v1/kill"))["killed"] is True
        lifted = await http.ask("DELETE", "/v1/kill", "other", params={"reason": "drill is over"})
        assert lifted.json()["killed"] is False
        await http.order(client_order_id="again")


async def test_the_kill_needs_no_body(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        answer = await http.ask("POST", "/v1/kill", "admin")
        assert (answer.status_code, answer.json()["killed"]) == (200, True)
        form = await http.ask("POST", "/v1/kill", "admin", content=b"reason=x")
        assert form.status_code == 415


async def test_the_switch_is_known_and_pulled_where_another_process_owns_the_partition(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        for number in range(http.rig.desk.partitions):
            http.rig.desk.elsewhere[number] = None
        assert (await http.get("/v1/kill"))["killed"] is False
        answer = await http.ask("POST", "/v1/kill", "admin", json={})
        assert (answer.status_code, answer.json()["killed"], answer.json()["killed_by"]) == (200, True, "admin-1")
        assert all(state.controls.killed for state in http.rig.desk.states)
        await http.ask("DELETE", "/v1/kill", "other")
        assert (await http.get("/v1/kill"))["killed"] is False


async def test_a_partition_that_cannot_take_the_kill_is_503_and_the_others_have_it(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        away = (http.rig.desk.partition_of("a") + 1) % http.rig.desk.partitions
        http.rig.desk.unready.add(away)
        answer = await http.ask("POST", "/v1/kill", "admin", json={})
        assert (answer.status_code, answer.json()["code"]) == (503, "NOT_READY")
        refused = await http.ask("POST", "/v2/orders", json=ORDER)
        assert refused.json()["reason"] == "KILL_SWITCH"


async def test_a_mode_covers_what_it_names(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        body = {"scope": "instrument", "mode": "halted", "target": "BTC/USD", "account": "*"}
        answer = await http.ask("PUT", "/v1/mode", "admin", json=body)
        assert answer.json() == {"scope": "instrument", "account": "", "target": "BTC-USD.SIM", "mode": "halted"}
        for key in ("a", "b"):
            refused = await http.ask("POST", "/v2/orders", key, json=ORDER)
            assert refused.json()["reason"] == "TRADING_HALTED"
        await http.order(symbol="ETH/USD", limit_price="2000")
        await http.ask("PUT", "/v1/mode", "admin", json={"scope": "account", "mode": "reducing", "account": "b"})
        refused = await http.ask("POST", "/v2/orders", "b", json=ORDER | {"symbol": "ETH/USD", "limit_price": "2000"})
        assert refused.json()["reason"] == "REDUCE_ONLY"


async def test_limits_have_versions_and_the_old_ones_stay_known(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        page = await http.get("/v1/limits")
        assert (page["account"], page["version"]) == ("a", 1)
        tight = msgspec.to_builtins(limits_body(max_order_qty="0.1"))
        body = {"limits": tight, "version": 1, "reason": "smaller"}
        changed = await http.ask("PUT", "/v1/limits", "admin", json=body)
        assert (changed.status_code, changed.json()["version"]) == (200, 2)
        assert [(v["version"], v["actor"], v["reason"]) for v in changed.json()["versions"]] == [
            (2, "admin-1", "smaller"),
            (1, "admin", ""),
        ]
        refused = await http.ask("POST", "/v2/orders", json=ORDER)
        assert refused.json()["reason"] == "MAX_ORDER_QTY"
        again = await http.ask("PUT", "/v1/limits", "admin", json=body)
        assert (again.status_code, again.json()["code"]) == (409, "VERSION_CHANGED")
        other = await http.ask("PUT", "/v1/limits", "admin", json={"limits": tight, "account": "b"})
        assert (other.json()["account"], other.json()["version"]) == ("b", 2)
        assert (await http.get("/v1/limits", "admin", account="b"))["version"] == 2
