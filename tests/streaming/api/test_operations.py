"""The gate in front of every operation: key, scope, rate, and errors that never show more than a code."""

import sqlite3
from pathlib import Path

import pytest

from streaming.api.operations import request_ids
from streaming.transport.client import BrokerError
from tests.streaming.api.http import ORDER, api
from trading.orders.state import State


async def test_ids_differ_between_requests_and_processes() -> None:
    one, other = request_ids(), request_ids()
    assert len({one(), one(), other(), other()}) == 4


async def test_a_key_has_its_rate_and_is_told_when_to_come_again(tmp_path: Path) -> None:
    async with api(tmp_path, key_rate=0.5, key_burst=2) as http:
        for _ in range(2):
            await http.get("/v2/clock")
        answer = await http.ask("GET", "/v2/clock")
        assert (answer.status_code, answer.json()["reason"]) == (429, "RATE_LIMITED")
        assert answer.json()["code"] == 42910000
        assert int(answer.headers["retry-after"]) >= 1
        await http.get("/v2/clock", "b")


async def test_guessing_keys_is_slowed_down_without_hurting_others(tmp_path: Path) -> None:
    async with api(tmp_path, stranger_rate=0.5, stranger_burst=2) as http:
        told = [await http._client.get("/v2/clock") for _ in range(3)]
        assert [answer.status_code for answer in told] == [401, 401, 429]
        await http.get("/v2/clock")


@pytest.mark.parametrize(
    ("fault", "code"), [("unready", "NOT_READY"), ("elsewhere", "NOT_OWNER"), ("lost", "WRITE_LOST")]
)
async def test_a_partition_that_cannot_answer_is_503(tmp_path: Path, fault: str, code: str) -> None:
    async with api(tmp_path) as http:
        desk, mine = http.rig.desk, http.rig.desk.partition_of("a")
        if fault == "unready":
            desk.unready.add(mine)
        elif fault == "elsewhere":
            desk.elsewhere[mine] = "http://127.0.0.1:1"
        else:
            desk.lose_next.add(mine)
        answer = await http.ask("POST", "/v2/orders", json=ORDER | {"client_order_id": "c"})
        assert (answer.status_code, answer.json()["reason"], answer.headers["retry-after"]) == (503, code, "1")
        desk.unready.clear()
        desk.elsewhere.clear()
        # The same id again tells what became of it; whatever it was, there is one order.
        again = await http.order(client_order_id="c")
        listed = await http.get("/v2/orders")
        assert [order["id"] for order in listed] == [again["id"]]


async def test_a_failure_inside_shows_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with api(tmp_path) as http:

        async def broken(_account: str, _view: object) -> State:
            raise RuntimeError("a secret of the house")

        monkeypatch.setattr(http.rig.desk, "read", broken)
        answer = await http.ask("GET", "/v2/positions")
        assert (answer.status_code, answer.json()["reason"]) == (500, "INTERNAL")
        assert "secret" not in answer.text
        assert answer.json()["request_id"] in answer.json()["message"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BrokerError("BROKER_UNREACHABLE", "nobody at home"), "BROKER_UNREACHABLE"),
        (sqlite3.OperationalError("database or disk is full"), "HISTORY_UNAVAILABLE"),
    ],
)
async def test_a_journal_that_cannot_be_read_is_503(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    async with api(tmp_path) as http:

        async def broken(_partition: int | None = None) -> None:
            raise error

        monkeypatch.setattr(http.rig.history, "catch_up", broken)
        for path in ("/v2/orders?status=all", "/v2/account/portfolio/history", "/v2/account/activities"):
            answer = await http.ask("GET", path)
            assert (answer.status_code, answer.json()["reason"]) == (503, code)
            assert answer.headers["retry-after"] == "1"
            assert str(error) not in answer.text
