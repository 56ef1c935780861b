"""A request for an account of another process is asked there, once, with the same id, and within a bound."""

import asyncio
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from streaming.api.forward import MARK, Forwarder, kept_id
from tests.api_rig import Rig, Served, headers_of
from tests.streaming.api.http import ORDER
from trading.orders.journal import read_record

Pair = tuple[Served, Served]
ID = "0123456789ab-1f"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Yield a process that sends everybody on, and the owner."""
    for name in ("here", "owner"):
        (tmp_path / name).mkdir()
    with Served(Rig(tmp_path / "here")) as here, Served(Rig(tmp_path / "owner")) as owner:
        owner.do(owner.rig.fund("a"))
        here.rig.desk.elsewhere[partition(here)] = f"http://{owner.address}"
        yield here, owner


def partition(served: Served) -> int:
    return served.rig.desk.partition_of("a")


def ask(
    served: Served, method: str, path: str, body: dict[str, Any] | None = None, **more: str
) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection(served.address, timeout=20)
    try:
        headers = headers_of("a") | ({"Content-Type": "application/json"} if body else {}) | more
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, told, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def request(**headers: str) -> Request:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "raw_path": b"/v2/account", "query_string": b"", "headers": pairs})


def test_an_order_is_decided_by_its_owner_under_the_id_of_the_request(pair: Pair) -> None:
    here, owner = pair
    status, headers, order = ask(here, "POST", "/v2/orders", ORDER | {"client_order_id": "mine"})
    assert (status, order["client_order_id"]) == (200, "mine")
    causes = [read_record(payload).cause for payload in owner.rig.desk.journal[partition(owner)]]
    assert causes[-1] == f"http:{headers['x-request-id']}"
    assert len(here.rig.desk.journal[partition(here)]) == 1, "only the fence is here"
    status, _, listed = ask(here, "GET", f"/v2/orders?status=open&symbols={ORDER['symbol'].replace('/', '%2F')}")
    assert (status, [each["id"] for each in listed]) == (200, [order["id"]])


def test_a_refusal_of_the_owner_is_the_answer(pair: Pair) -> None:
    here, _ = pair
    status, _, body = ask(here, "POST", "/v2/orders", ORDER | {"qty": "1000000000"})
    assert status == 403
    assert body["breaches"]


def test_two_that_take_each_other_for_the_owner_do_not_send_a_request_around(pair: Pair) -> None:
    here, owner = pair
    owner.rig.desk.elsewhere[partition(owner)] = f"http://{here.address}"
    status, headers, body = ask(here, "GET", "/v2/account")
    assert (status, body["reason"], headers["retry-after"]) == (503, "NOT_OWNER", "1")


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:1", "nonsense"])
async def test_an_owner_that_is_not_there_gives_no_answer(url: str | None) -> None:
    assert await Forwarder().ask(url, request(), b"", ID) is None


async def test_an_owner_that_is_silent_holds_nobody_up_and_only_so_many_wait_for_it() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        forwarder = Forwarder(within_s=0.5, waiting=1)
        first = asyncio.create_task(forwarder.ask(url, request(), b"", ID))
        await asyncio.sleep(0)
        assert await forwarder.ask(url, request(), b"", ID) is None
        assert not first.done(), "the second did not wait"
        assert await first is None


async def test_the_owner_checks_the_keys_itself(pair: Pair) -> None:
    _, owner = pair
    strange = request(**{"apca-api-key-id": "PKTRADEAAAA", "apca-api-secret-key": "wrong"})
    answer = await Forwarder().ask(f"http://{owner.address}", strange, b"", ID)
    assert answer is not None
    assert answer.status_code == 401


def test_only_ids_of_ours_are_kept() -> None:
    assert kept_id({MARK: ID}) == ID
    assert kept_id({}) is None
    for wrong in ("", "x", ID + "/1", "0123456789AB-1f", ID * 9):
        assert kept_id({MARK: wrong}) is None
