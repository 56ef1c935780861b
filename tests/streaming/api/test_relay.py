"""A stream of an account of another process is taken from there, once, and ends when the owner changes."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from streaming.api import relay, stream
from streaming.api.server import HttpServer
from streaming.owner.desk import NotOwner, NotReady
from tests.api_rig import KEYS
from tests.streaming.api.http import Http, api
from tests.streaming.api.test_stream import heard, hello, listening
from tests.streaming.poll import until


@dataclass
class Place:
    """A process with the API."""

    http: Http
    server: HttpServer

    @property
    def url(self) -> str:
        return f"http://{self.server.host}:{self.server.port}"

    @property
    def stream(self) -> str:
        return f"ws://{self.server.host}:{self.server.port}/stream"

    def sends_to(self, url: str | None) -> None:
        """Take another process for the owner of account a."""
        self.http.rig.desk.elsewhere[self.http.rig.desk.partition_of("a")] = url

    @property
    def listeners(self) -> int:
        return len(self.http.rig.desk._subscriptions)


@pytest.fixture
async def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Place, Place]]:
    """Yield a process that takes the other for the owner, and the owner."""
    monkeypatch.setattr(stream, "HOME_S", 0.0)
    monkeypatch.setattr(relay, "LOOK_S", 0.02)
    (tmp_path / "here").mkdir()
    (tmp_path / "owner").mkdir()
    async with api(tmp_path / "here") as one, api(tmp_path / "owner") as two:
        here, owner = Place(one, HttpServer("127.0.0.1", 0)), Place(two, HttpServer("127.0.0.1", 0))
        for place in (here, owner):
            await place.server.start(place.http.rig.app)
        here.sends_to(owner.url)
        yield here, owner
        for place in (here, owner):
            await place.server.stop()


async def to_the_end(socket: ClientConnection) -> None:
    while True:
        await heard(socket)


async def ended(socket: ClientConnection) -> tuple[int, str]:
    """Return code and reason of the end of a connection."""
    with pytest.raises(ConnectionClosed) as closed:
        await to_the_end(socket)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


async def test_updates_come_from_the_owner_and_listening_can_end_and_begin_again(places: tuple[Place, Place]) -> None:
    here, owner = places
    async with connect(here.stream) as socket:
        await listening(socket)
        assert (here.listeners, owner.listeners) == (0, 1)
        order = await owner.http.order(client_order_id="mine")
        update = await heard(socket)
        assert (update["stream"], update["data"]["event"]) == ("trade_updates", "pending_new")
        assert update["data"]["order"]["id"] == order["id"]
        await socket.send(json.dumps({"action": "listen", "data": {"streams": []}}))
        assert (await heard(socket))["data"] == {"streams": []}
        await until(lambda: owner.listeners == 0)
        await owner.http.order(client_order_id="unheard")
        await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        assert (await heard(socket))["data"] == {"streams": ["trade_updates"]}
        await owner.http.order(client_order_id="heard")
        assert (await heard(socket))["data"]["order"]["client_order_id"] == "heard"
    await until(lambda: owner.listeners == 0)


async def test_what_the_owner_ends_is_ended_here_so_that_the_client_comes_again(places: tuple[Place, Place]) -> None:
    here, owner = places
    async with connect(here.stream) as socket:
        await listening(socket)
        (subscription,) = owner.http.rig.desk._subscriptions
        subscription.lose(owner.http.rig.desk.partition_of("a"))
        message = await heard(socket)
        assert (message["stream"], message["data"]["code"]) == ("error", "NOT_READY")
        assert "read the state again" in message["data"]["message"]
        assert await ended(socket) == (1013, "NOT_READY")


@pytest.mark.parametrize("home", ["here", "third"])
async def test_a_partition_that_moves_ends_the_stream(places: tuple[Place, Place], home: str) -> None:
    here, owner = places
    async with connect(here.stream) as socket:
        await listening(socket)
        if home == "here":
            here.http.rig.desk.elsewhere.clear()
        else:
            here.sends_to("http://127.0.0.1:1")
        assert await ended(socket) == (1013, "NOT_READY")
    await until(lambda: owner.listeners == 0)


async def test_an_owner_is_looked_for_while_a_partition_moves(
    places: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, owner = places
    monkeypatch.setattr(stream, "HOME_S", 60.0)
    monkeypatch.setattr(stream, "LOOK_S", 0.01)
    number = here.http.rig.desk.partition_of("a")
    owner.http.rig.desk.unready.add(number)
    async with connect(here.stream) as socket:
        asked = asyncio.create_task(listening(socket))
        await until(lambda: here.server.task is not None and len(owner.server._server.server_state.connections) > 0)  # type: ignore[union-attr] # it runs
        owner.http.rig.desk.unready.clear()
        await asked


async def test_two_that_take_each_other_for_the_owner_do_not_relay_around(places: tuple[Place, Place]) -> None:
    here, owner = places
    owner.sends_to(here.url)
    async with connect(here.stream) as socket:
        await socket.send(hello())
        assert (await heard(socket))["data"]["status"] == "authorized"
        await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        message = await heard(socket)
        assert message["data"]["code"] == "NOT_READY"
        assert "owned elsewhere" in message["data"]["message"]
        assert await ended(socket) == (1013, "NOT_READY")


async def test_an_owner_that_is_not_there_is_told(places: tuple[Place, Place]) -> None:
    here, _ = places
    for url in ("http://127.0.0.1:1", "nonsense", None):
        here.sends_to(url)
        async with connect(here.stream) as socket:
            await socket.send(hello())
            await heard(socket)
            await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
            assert (await ended(socket))[0] == 1013


async def test_an_owner_that_stands_still_is_let_go(
    places: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = places
    monkeypatch.setattr(relay, "WITHIN_S", 0.2)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    here.sends_to(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with connect(here.stream) as socket:
        await socket.send(hello())
        await heard(socket)
        await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        assert await ended(socket) == (1013, "NOT_READY")
    server.close()


async def test_the_owner_checks_the_key_itself_and_no_secret_is_logged(
    places: tuple[Place, Place], caplog: pytest.LogCaptureFixture
) -> None:
    here, owner = places
    caplog.set_level(logging.DEBUG)
    stranger = KEYS["a"].__class__("PKSTRANGER1", "secret-of-a-stranger-00", "a", frozenset({"read"}), "a")
    gone = NotOwner(0, "elsewhere", owner.url)
    with pytest.raises(NotReady, match=r"keys\.json"):
        async with relay.relayed(gone, stranger, "id"):
            pass
    async with connect(here.stream, logger=logging.getLogger("quiet-test")) as socket:
        caplog.set_level(logging.WARNING, "quiet-test")
        assert socket.state
    assert stranger.secret not in caplog.text
