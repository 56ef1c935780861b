"""Bad input to the order API, as data: each case gets exactly its status and code, changes nothing, shows no trace."""

import asyncio
import json
import re
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
import pytest

from streaming.api.symbols import as_uuid
from tests.api_rig import Rig, headers_of
from tests.trading.orders.builders import S
from trading.events import CommandRefused, OrderRefused
from trading.orders.idempotency import order_id
from trading.orders.journal import read_record

T = TypeVar("T")
CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "orders.json").read_text())
ORDER = {
    "symbol": "BTC/USD",
    "qty": "0.01",
    "side": "buy",
    "type": "limit",
    "time_in_force": "gtc",
    "limit_price": "49000",
}
PLACE = re.compile(r"\{(\w+):(\w+)\}")


class Client:
    """Speaks to the application of a rig without a socket, from code that blocks."""

    def __init__(self, rig: Rig) -> None:
        transport = httpx.ASGITransport(app=rig.app, raise_app_exceptions=True)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://desk")
        self._loop = asyncio.new_event_loop()

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.call(self._http.request(method, path, **more))

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        self.call(self._http.aclose())
        self.call(self._loop.shutdown_default_executor())
        self._loop.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, Client]]:
    """Return one desk for all cases: no case may change what the next one sees."""
    rig = Rig(tmp_path_factory.mktemp("api"), stranger_burst=10_000)
    client = Client(rig)
    call = client.call
    call(rig.fund("a", "b"))
    call(rig.fund("poor", cash="100"))
    for key, name in (("a", "taken"), ("b", "theirs"), ("a", "ended")):
        submit(client, key, ORDER | {"client_order_id": name})
        call(rig.ack(uuid_of(key, name)))
    call(rig.canceled(uuid_of("a", "ended")))
    submit(client, "a", ORDER | {"symbol": "ETH/USD", "qty": "1", "limit_price": "2000", "client_order_id": "held"})
    call(rig.fill(uuid_of("a", "held"), "1", "2000"))
    rig.desk.ts_ns += S
    yield rig, client
    client.close()
    rig.history.close()


def uuid_of(account: str, name: str) -> str:
    return as_uuid(order_id(account, name))


def submit(client: Client, key: str, order: dict[str, str]) -> None:
    answer = client.request("POST", "/v2/orders", json=order, headers=headers_of(key))
    assert answer.status_code == 200, answer.text


def send(client: Client, case: dict[str, Any]) -> httpx.Response:
    headers = headers_of(case.get("key", "a"))
    content: bytes | None = None
    if "body" in case:
        content = json.dumps(case["body"]).encode()
    elif "raw" in case:
        content = case["raw"].encode()
    elif "hex" in case:
        content = bytes.fromhex(case["hex"])
    elif "repeat" in case:
        content = case["repeat"]["text"].encode() * case["repeat"]["times"]
    if content is not None:
        headers["content-type"] = "application/json"
    lower = {name.lower(): value for name, value in headers.items()} | case.get("headers", {})
    path = PLACE.sub(lambda match: uuid_of(match[1], match[2]), case["path"])
    return client.request(case["method"], path, content=content, headers=lower)


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 150
    assert len({case["name"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case["name"][:60] for case in CASES])
def test_bad_input_gets_its_code(world: tuple[Rig, Client], case: dict[str, Any]) -> None:
    rig, client = world
    before = [len(journal) for journal in rig.desk.journal]
    answer = send(client, case)
    body = answer.json()
    alpaca = case["path"].startswith("/v2")
    reason = body["reason" if alpaca else "code"]
    assert (answer.status_code, reason) == (case["status"], case["reason"]), body
    if alpaca:
        assert isinstance(body["code"], int)
        # A used client id has the integer of Alpaca's own answer to it.
        assert body["code"] // 100_000 == (400 if case["status"] == 409 else case["status"])
    assert body["message"]
    assert body["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    assert len(answer.content) < 2_000
    new = [read_record(p) for journal, n in zip(rig.desk.journal, before, strict=True) for p in journal[n:]]
    events = [event for record in new for event in record.events]
    assert all(isinstance(event, OrderRefused | CommandRefused) for event in events), msgspec.to_builtins(events)
