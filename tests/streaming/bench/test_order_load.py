import json
from collections import Counter

import pytest

from streaming.api.keys import Key
from streaming.bench import order_load
from streaming.bench.order_client import Address, Done, Pool
from streaming.bench.order_load import Load, Quoting, Timing, code_of, summary

KEYS = [Key(f"PKLOAD0{n}", "0123456789abcdef", f"a{n}", frozenset({"trade"}), f"a{n}") for n in range(2)]
QUOTING = Quoting("BTC/USD", 55_000_00, 1, 2)


class ScriptedPool(Pool):
    """Answers at once; what `refuse` names gets its code."""

    def __init__(self, refuse: dict[str, tuple[int, bytes]] | None = None) -> None:
        super().__init__(Address("127.0.0.1", 0), 0)
        self.seen: list[bytes] = []
        self._refusals = refuse or {}

    def send(self, payload: bytes, done: Done) -> None:
        self.seen.append(payload)
        if payload.startswith(b"DELETE"):
            done(*self._refusals.get("cancel", (204, b"")))
            return
        order = json.loads(payload.partition(b"\r\n\r\n")[2])["client_order_id"]
        answer = json.dumps({"id": f"id-{order}", "status": "pending_new"}).encode()
        done(*self._refusals.get(order, (200, answer)))


async def test_seven_of_ten_are_new_at_prices_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_load, "WARM_UP_S", 0.05)
    pool = ScriptedPool()
    load = Load(pool, KEYS, QUOTING, "t-")
    await load.run(2_000, 0.2)
    ledger = load.ledger
    bodies = [json.loads(body) for head, _, body in (p.partition(b"\r\n\r\n") for p in pool.seen) if b"POST" in head]
    assert (len(pool.seen), len(bodies), ledger.errors) == (500, 350, Counter())
    assert len({body["limit_price"] for body in bodies}) == 350
    assert bodies[0]["limit_price"] == "55000.00"
    assert {body["client_order_id"] for body in bodies} == {*ledger.open, *ledger.canceled} == ledger.sent.keys()
    assert len(ledger.canceled) == 150
    assert {key.account for key in ledger.sent.values()} == {"a0", "a1"}
    canceled = {head.split()[1].decode().rpartition("/")[2] for head in pool.seen if head.startswith(b"DELETE")}
    assert canceled == {ledger.ids[order] for order in ledger.canceled}


async def test_a_refusal_is_an_error_and_no_answer_leaves_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_load, "WARM_UP_S", 0.01)
    refusal = json.dumps({"code": 40310000, "message": "no", "reason": "MAX_VAR"}).encode()
    pool = ScriptedPool({"t-0": (403, refusal), "t-3": (0, b""), "cancel": (503, b"nonsense")})
    load = Load(pool, KEYS, QUOTING, "t-")
    await load.run(1_000, 0.01)
    assert load.ledger.errors == {"MAX_VAR": 1, "NO_ANSWER": 1, "HTTP_503": 6}
    assert "t-3" in load.ledger.doubtful
    assert "t-0" not in load.ledger.doubtful
    assert load.ledger.canceled == set()


def test_latencies_run_from_the_planned_time_behind_the_warm_up() -> None:
    timing = Timing(
        ["new", "new", "cancel", "new"], [0.0, 1.0, 2.0, 3.0], [0.0, 1.5, 2.0, 3.0], [9.0, 2.0, 2.5, float("inf")]
    )
    page = summary(timing, warm_up_s=1.0)
    assert page["requests"] == 3
    assert page["new"] == {"count": 1, "p50_ms": 1000.0, "p99_ms": 1000.0, "max_ms": 1000.0}
    assert page["cancel"] == {"count": 1, "p50_ms": 500.0, "p99_ms": 500.0, "max_ms": 500.0}
    assert page["all"] == {"count": 2, "p50_ms": 750.0, "p99_ms": 995.0, "max_ms": 1000.0}
    assert summary(Timing(["new"], [0.0], [0.0], [float("inf")]), 0.0)["all"] == {"count": 0}


def test_codes_of_both_shapes_of_errors() -> None:
    assert code_of(403, b'{"code":40310000,"reason":"PRICE_COLLAR"}') == "PRICE_COLLAR"
    assert code_of(404, b'{"code":"LIMITS_UNKNOWN"}') == "LIMITS_UNKNOWN"
    assert (code_of(500, b"?"), code_of(0, b""), code_of(502, b"{}")) == ("HTTP_500", "NO_ANSWER", "HTTP_502")


def test_prices_have_the_scale_of_the_instrument() -> None:
    assert [QUOTING.price(n) for n in (0, 1, 101)] == ["55000.00", "54999.99", "54998.99"]
    assert Quoting("X", 10, 1, 0).price(3) == "7"
