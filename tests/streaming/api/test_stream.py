"""The stream on the wire: who may listen, what is told, and how a slow or silent client is let go."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from streaming.api import stream
from streaming.api.server import HttpServer
from tests.api_rig import KEYS
from tests.streaming.api.http import Http, api
from tests.streaming.poll import until

WAIT_S = 10.0


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[Http]:
    async with api(tmp_path) as made:
        yield made


@pytest.fixture
async def address(http: Http) -> AsyncIterator[str]:
    server = HttpServer("127.0.0.1", 0)
    await server.start(http.rig.app)
    yield f"ws://127.0.0.1:{server.port}/stream"
    await server.stop()


def hello(name: str = "a", **changes: str) -> str:
    pair = {"key_id": KEYS[name].key_id, "secret_key": KEYS[name].secret} | changes
    return json.dumps({"action": "authenticate", "data": pair})


async def heard(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        message: dict[str, Any] = json.loads(await socket.recv())
    return message


async def listening(socket: ClientConnection, name: str = "a") -> None:
    await socket.send(hello(name))
    assert (await heard(socket))["data"]["status"] == "authorized"
    await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates", "other"]}}))
    assert (await heard(socket))["data"] == {"streams": ["trade_updates"]}


async def test_a_wrong_secret_is_unauthorized_and_let_go(address: str) -> None:
    async with connect(address) as socket:
        await socket.send(hello(secret_key="wrong"))
        assert (await heard(socket))["data"]["status"] == "unauthorized"
        with pytest.raises(ConnectionClosed):
            await heard(socket)


@pytest.mark.parametrize("message", ["", "{}", "[]", '{"action":"trade"}', "{" * 5_000])
async def test_what_is_no_message_is_told_so(address: str, message: str) -> None:
    async with connect(address) as socket:
        await socket.send(message)
        assert (await heard(socket))["data"]["code"] == "MESSAGE_INVALID"
        with pytest.raises(ConnectionClosed):
            await heard(socket)


async def test_a_partition_that_is_lost_ends_the_stream_instead_of_leaving_it_silent(http: Http, address: str) -> None:
    async with connect(address) as socket:
        await listening(socket)
        number = http.rig.desk.partition_of("a")
        (subscription,) = http.rig.desk._subscriptions
        subscription.lose(number + 1)
        await http.order()
        assert (await heard(socket))["data"]["event"] == "pending_new"
        subscription.lose(number)
        assert (await heard(socket))["data"]["code"] == "NOT_READY"
        with pytest.raises(ConnectionClosed) as closed:
            await heard(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013


async def test_an_order_that_was_there_before_is_followed(http: Http, address: str) -> None:
    order = await http.order(qty="1")
    await http.rig.fill(order["id"], "0.25", "49000")
    async with connect(address) as socket, connect(address) as other:
        await listening(socket)
        await listening(other, "b")
        await http.rig.fill(order["id"], "0.75", "48000")
        update = await heard(socket)
        assert (update["stream"], update["data"]["event"]) == ("trade_updates", "fill")
        assert (update["data"]["qty"], update["data"]["position_qty"]) == ("0.75", "1")
        assert update["data"]["order"]["filled_avg_price"] == "48250"
        await http.order("b", qty="0.1")
        assert (await heard(other))["data"]["event"] == "pending_new"


async def test_listening_can_end_and_begin_again(http: Http, address: str) -> None:
    async with connect(address) as socket:
        await listening(socket)
        await socket.send(json.dumps({"action": "listen", "data": {"streams": []}}))
        assert (await heard(socket))["data"]["streams"] == []
        assert http.rig.desk._subscriptions == []
        await http.order(client_order_id="unheard")
        await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        assert (await heard(socket))["stream"] == "listening"
        await http.order(client_order_id="heard", qty="0.1")
        assert (await heard(socket))["data"]["order"]["client_order_id"] == "heard"


async def test_a_desk_that_stops_ends_the_stream_with_a_code(http: Http, address: str) -> None:
    async with connect(address) as socket:
        await listening(socket)
        for subscription in list(http.rig.desk._subscriptions):
            subscription.close()
        assert (await heard(socket))["data"]["code"] == "SLOW_READER"
        with pytest.raises(ConnectionClosed) as error:
            await heard(socket)
        assert error.value.rcvd is not None
        assert error.value.rcvd.code == 1013
        assert http.rig.desk._subscriptions == []


async def test_a_key_has_its_share_of_the_streams(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_OF_KEY", 1)
    async with connect(address) as first, connect(address) as second, connect(address) as other:
        await listening(first)
        await second.send(hello())
        assert (await heard(second))["data"]["status"] == "authorized"
        with pytest.raises(ConnectionClosed) as error:
            await heard(second)
        assert error.value.rcvd is not None
        assert error.value.rcvd.code == 1013
        await listening(other, "b")
    async with connect(address) as again:
        await listening(again)


async def test_who_says_nothing_is_let_go(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "AUTH_S", 0.05)
    async with connect(address) as socket:
        with pytest.raises(ConnectionClosed) as error:
            await heard(socket)
        assert error.value.rcvd is not None
        assert error.value.rcvd.code == 1008


async def test_who_stops_reading_is_let_go(http: Http, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SEND_S", 0.2)
    # An update of a megabyte each fills every buffer between the two ends at once.
    monkeypatch.setattr(stream, "_encoder", Padded())
    async with connect(address, max_size=None, compression=None) as socket:
        await listening(socket)
        socket.transport.pause_reading()
        for number in range(40):
            await http.order(client_order_id=f"c{number}", qty="0.01")
        await until(lambda: http.rig.desk._subscriptions == [])
        socket.transport.abort()


class Padded:
    """Encodes an update with a megabyte beside it."""

    def encode(self, message: dict[str, Any]) -> bytes:
        pad = "x" * (1 << 20) if message["stream"] == "trade_updates" else ""
        return msgspec.json.encode(message | {"pad": pad})
