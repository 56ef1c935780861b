import json
from collections.abc import Callable
from typing import Any

import pytest

from streaming.api.keys import make_keys
from streaming.bench import order_state
from streaming.bench.order_client import Address, Answer, Pool
from streaming.bench.order_load import Ledger
from streaming.bench.order_state import (
    Caller,
    StateError,
    administrator,
    allow,
    audit,
    backlog_gone,
    caught_up,
    clean_up,
    differences,
    listing,
    quoting,
    traders,
)

KEYS = make_keys(["a", "b"])
TRADER, ADMIN = KEYS[0], KEYS[-1]
Script = Callable[[str, str, Any], tuple[int, Any]]


class ScriptedPool(Pool):
    """A server as a function of method, path and body."""

    def __init__(self, script: Script) -> None:
        super().__init__(Address("127.0.0.1", 0), 0)
        self.seen: list[tuple[str, str, Any]] = []
        self._script = script

    async def call(self, payload: bytes, within_s: float) -> Answer:
        head, _, body = payload.partition(b"\r\n\r\n")
        method, path, _ = head.decode().split(" ", 2)
        self.seen.append((method, path, json.loads(body) if body else None))
        status, answer = self._script(*self.seen[-1])
        return Answer(status, json.dumps(answer).encode())


def order(name: str, status: str, at: int = 0) -> dict[str, str]:
    return {"id": f"id-{name}", "client_order_id": f"t-{name}", "status": status, "submitted_at": f"{at:06}"}


def ledger(**fields: Any) -> Ledger:
    sent = dict.fromkeys(("t-1", "t-2", "t-3"), TRADER)
    return Ledger("t-", sent=sent, open=["t-1", "t-2"], canceled={"t-3"}, **fields)


def caller_of(script: Script) -> Caller:
    return Caller(ScriptedPool(script))


@pytest.mark.parametrize(
    ("shown", "ended", "fault"),
    [
        (["1", "2"], ["3"], ""),
        (["1"], ["3"], "a: 1 acknowledged, not open: t-2"),
        (["1", "2"], [], "a: 1 canceled, not so shown: t-3"),
        (["1", "2", "9"], ["3"], "a: 1 shown, never sent: t-9"),
    ],
)
async def test_the_ledger_is_compared_with_what_the_server_shows(
    shown: list[str], ended: list[str], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_state, "SETTLE_S", 0.0)

    def script(_method: str, path: str, _body: Any) -> tuple[int, Any]:
        if "status=open" in path:
            return 200, [order(name, "new") for name in shown]
        return 200, [order(name, "canceled") for name in ended]

    assert await differences(caller_of(script), ledger(), [TRADER]) == ([fault] if fault else [])


async def test_an_order_shown_twice_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_state, "SETTLE_S", 0.0)

    def script(_method: str, path: str, _body: Any) -> tuple[int, Any]:
        if "status=open" in path:
            return 200, [order("1", "new"), order("2", "new"), order("2", "new") | {"id": "other"}]
        return 200, [order("3", "canceled")]

    assert await differences(caller_of(script), ledger(), [TRADER]) == ["a: 1 shown twice: t-2"]


async def test_the_gateway_is_waited_for() -> None:
    lags = iter([5, 0])
    caller = caller_of(lambda *_: (200, {"groups": {"route": {"lag": next(lags)}, "sink-journal": {"lag": 9}}}))
    assert await caught_up(caller, ADMIN) > 0


async def test_what_earlier_runs_left_is_waited_for() -> None:
    lags, asked = iter([9_000, 2_001, 2_000]), list[str]()

    def script(_method: str, path: str, _body: Any) -> tuple[int, Any]:
        asked.append(path)
        if path == "/status":
            return 200, {"groups": {"sink-journal": {"lag": next(lags)}, "route": {"lag": 0}}}
        return 200, []

    await backlog_gone(caller_of(script), ADMIN, [TRADER])
    assert asked == ["/status"] * 3 + ["/v2/orders?status=closed&limit=1"]


async def test_the_pages_of_processes_beside_count_too() -> None:
    def page(role: str) -> dict[str, Any]:
        return {"roles": [role], "groups": {role: {"lag": 1}}, "flows": {role: {}}}

    beside = ScriptedPool(lambda *_: (200, page("route")))
    caller = Caller(ScriptedPool(lambda *_: (200, page("orders"))), [beside])
    found = await caller.status(ADMIN)
    assert found["roles"] == ["orders", "route"]
    assert [*found["groups"]] == [*found["flows"]] == ["orders", "route"]


async def test_a_list_is_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_state, "PAGE_ROWS", 3)
    rows = [order(str(n), "new", at=n) for n in range(8)] + [order("x", "new", at=8) | {"client_order_id": "mine"}]

    def script(_method: str, path: str, _body: Any) -> tuple[int, Any]:
        after = path.partition("after=")[2]
        # The time on the wire is cut, so the last order of a page comes again.
        return 200, [row for row in rows if row["submitted_at"] >= after][:3]

    assert await listing(caller_of(script), TRADER, "open", "t-") == rows[:8]


async def test_the_bids_start_at_the_collar_of_sales() -> None:
    answers = iter([[], [{"code": "PRICE_COLLAR", "limit": "55000.7"}]])
    caller = caller_of(lambda *_: (200, {"breaches": next(answers)}))
    assert (await quoting(caller, TRADER)).price(1) == "55000.69"


async def test_limits_are_raised_and_put_back() -> None:
    limits = {"max_open_orders": 10, "max_var": "1"}
    pool = ScriptedPool(lambda *_: (200, {"limits": limits}))
    before = await allow(Caller(pool), ADMIN, ["a"], 5_000)
    assert before == {"a": limits}
    assert pool.seen[-1][2]["limits"] == {"max_open_orders": 5_000, "max_var": "1"}
    books = ledger(ids={"t-1": "id-1", "t-2": "id-2"})
    await clean_up(Caller(pool), ADMIN, books, before)
    assert [path for method, path, _ in pool.seen if method == "DELETE"] == ["/v2/orders/id-1", "/v2/orders/id-2"]
    assert pool.seen[-1][2]["limits"] == limits


async def test_the_audit_names_the_broken_partition() -> None:
    broken = {"partition": 1, "whole": False, "code": "HASH_WRONG", "message": "record 7"}
    page = {"flows": {"orders": {"0": {"audit_differences": 2}, "1": {"audit_differences": 0}}}}
    caller = caller_of(lambda _, path, __: (200, page if path == "/status" else {"partitions": [broken]}))
    assert await audit(caller, ADMIN) == [
        "partition 1: HASH_WRONG: record 7",
        "partition 0: 2 differences in the conservation audit",
    ]


async def test_another_answer_is_an_error_with_its_code() -> None:
    caller = caller_of(lambda *_: (403, {"code": "SCOPE_MISSING"}))
    with pytest.raises(StateError, match="GET /status: 403 SCOPE_MISSING"):
        await caller.status(TRADER)


def test_keys_are_chosen_by_scope() -> None:
    assert [key.account for key in traders(KEYS, 5)] == ["a", "b"]
    assert "admin" in administrator(KEYS).scopes
    with pytest.raises(StateError, match="admin"):
        administrator(KEYS[:2])
    with pytest.raises(StateError, match="trade"):
        traders(KEYS[2:], 1)
