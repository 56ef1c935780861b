"""The story of an order is complete and hashed; one flipped byte anywhere is found, with its place."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streaming.transport.client import BrokerError, Record
from tests.streaming.api.http import ORDER, api
from trading.orders.journal import hash_of, read_record


async def test_why_tells_command_risk_limits_records_and_fills(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        order = await http.order(client_order_id="mine")
        await http.rig.ack(order["id"])
        await http.rig.fill(order["id"], "0.5", "49000")
        why = await http.get(f"/v1/orders/{order['id']}/why")
        assert (why["client_order_id"], why["outcome"], why["instrument"]) == ("mine", "filled", "BTC-USD.SIM")
        kinds = [event["kind"] for step in why["steps"] for event in step["events"]]
        assert kinds == ["order_accepted", "order_moved", "order_filled"]
        assert why["steps"][0]["cause"].startswith("http:")
        assert all(step["hash_is_right"] for step in why["steps"])
        assert [step["prev_hash"] for step in why["steps"][1:]] == [step["hash"] for step in why["steps"][:-1]]
        asked, *rest = [step["command"] for step in why["steps"]]
        assert (asked["kind"], asked["qty"], asked["limit_price"], asked["tif"]) == ("submit", "0.5", "49000", "gtc")
        assert rest == [None, None]
        assert why["risk"]["limits_version"] == 1
        assert why["risk"]["price"] == 5_000_000
        assert why["limits"]["max_order_qty"] == "1000"
        await http.get(f"/v1/orders/{order['id']}/why", "b", expect=404)


async def test_why_of_a_refused_order_tells_what_was_asked_and_which_rules_it_broke(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        refused = (await http.ask("POST", "/v2/orders", json=ORDER | {"qty": "1001", "client_order_id": "big"})).json()
        why = await http.get(f"/v1/orders/{refused['order_id']}/why")
        assert (why["outcome"], why["instrument"], why["risk"]) == ("MAX_ORDER_QTY", "BTC-USD.SIM", None)
        assert why["breaches"] == refused["breaches"]
        assert (why["breaches"][0]["limit"], why["breaches"][0]["value"]) == ("1000", "1001")
        assert why["limits"]["max_order_qty"] == "1000"
        asked = why["steps"][0]["command"]
        assert (asked["kind"], asked["side"], asked["qty"], asked["limit_price"]) == ("submit", "buy", "1001", "49000")


async def test_why_of_a_refused_replacement_tells_what_was_asked(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        order = await http.order()
        await http.rig.ack(order["id"])
        refused = (await http.ask("PATCH", f"/v2/orders/{order['id']}", json={"qty": "1001"})).json()
        why = await http.get(f"/v1/orders/{refused['order_id']}/why")
        assert (why["outcome"], why["instrument"]) == ("MAX_ORDER_QTY", "BTC-USD.SIM")
        assert (why["steps"][0]["command"]["kind"], why["steps"][0]["command"]["qty"]) == ("replace", "1001")


async def test_another_order_under_a_used_id_does_not_change_the_story_of_the_first(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        order = await http.order(client_order_id="mine")
        await http.rig.ack(order["id"])
        again = await http.ask("POST", "/v2/orders", json=ORDER | {"client_order_id": "mine", "qty": "0.7"})
        assert again.status_code == 409
        why = await http.get(f"/v1/orders/{order['id']}/why")
        assert (why["outcome"], why["breaches"]) == ("new", [])


async def test_the_audit_finds_a_flipped_byte(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        for number in range(5):
            await http.order(client_order_id=f"c{number}")
        page = await http.get("/v1/audit", "admin")
        assert page["whole"] is True
        assert sum(chain["records"] for chain in page["partitions"]) == sum(map(len, http.rig.desk.journal))
        place = http.rig.desk.partition_of("a")
        journal = http.rig.desk.journal[place]
        seq = read_record(journal[-2]).seq
        journal[-2] = journal[-2].replace(b'"qty":50000000', b'"qty":50000001')
        page = await http.get("/v1/audit", "admin")
        assert page["whole"] is False
        broken = page["partitions"][place]
        assert (broken["whole"], broken["code"]) == (False, "TAMPERED")
        assert str(seq) in broken["message"]
        del journal[-2]
        page = await http.get("/v1/audit", "admin", partition=place)
        assert [chain["code"] for chain in page["partitions"]] == ["GAP"]


async def test_any_flipped_bit_of_any_record_is_found(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        for number in range(4):
            await http.order(client_order_id=f"c{number}")
        place, dice = http.rig.desk.partition_of("a"), random.Random(7)
        journal = http.rig.desk.journal[place]
        for _ in range(100):
            which = dice.randrange(len(journal))
            before = journal[which]
            at = dice.randrange(len(before))
            changed = bytearray(before)
            changed[at] ^= 1 << dice.randrange(8)
            journal[which] = bytes(changed)
            (chain,) = (await http.get("/v1/audit", "admin", partition=place))["partitions"]
            assert not chain["whole"], (which, at, bytes(changed))
            journal[which] = before
        assert (await http.get("/v1/audit", "admin"))["whole"]


async def test_the_audit_finds_what_was_cut_off_or_written_anew(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        await http.order()
        place = http.rig.desk.partition_of("a")
        journal = http.rig.desk.journal[place]
        last = journal.pop()
        (chain,) = (await http.get("/v1/audit", "admin", partition=place))["partitions"]
        assert chain["code"] == "TRUNCATED"
        changed = last.replace(b'"qty":50000000', b'"qty":50000001')
        journal.append(changed.replace(read_record(last).hash.encode(), hash_of(changed).encode()))
        (chain,) = (await http.get("/v1/audit", "admin", partition=place))["partitions"]
        assert chain["code"] == "REWRITTEN"


async def test_a_checksum_of_the_broker_is_a_finding_and_its_absence_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api(tmp_path) as http:

        async def broken(_partition: int) -> AsyncIterator[Record]:
            if code:
                raise BrokerError(code, "the broker says so")
            yield Record("", 0, 0, None, None)

        monkeypatch.setattr(http.rig.history, "records", broken)
        code = "LOG_CORRUPT"
        page = await http.get("/v1/audit", "admin")
        assert [chain["code"] for chain in page["partitions"]] == ["LOG_CORRUPT"] * 4
        code = "BROKER_UNREACHABLE"
        answer = await http.ask("GET", "/v1/audit", "admin")
        assert (answer.status_code, answer.json()["code"]) == (503, "BROKER_UNREACHABLE")
