import asyncio
from collections.abc import AsyncIterator

import pytest

from streaming.api.keys import Key
from streaming.bench.order_client import Address, Pool, headers_of, request

BODY = b'{"id":"1"}'


class Server:
    """Answers in two pieces, so that the client has to put them together; `/gone` hangs up instead."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while head := await _head(reader):
            self.seen.append(head)
            if b"/gone" in head:
                break
            if b"DELETE" in head:
                writer.write(b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n")
                continue
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY))
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(BODY)
        writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


@pytest.fixture
async def served() -> AsyncIterator[tuple[Server, Address]]:
    served = Server()
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    async with server:
        yield served, Address(*server.sockets[0].getsockname())


async def test_requests_wait_for_a_free_connection_and_keep_their_order(served: tuple[Server, Address]) -> None:
    server, address = served
    pool = Pool(address, 2)
    await pool.start()
    answers = await asyncio.gather(*(pool.call(request("GET", f"/{n}", {}), 10.0) for n in range(20)))
    assert {(answer.status, answer.body) for answer in answers} == {(200, BODY)}
    assert sorted(server.seen) == sorted(request("GET", f"/{n}", {}) for n in range(20))
    assert server.connections == 2
    assert (await pool.call(request("DELETE", "/1", {}), 10.0)) == (204, b"")
    await pool.stop()


async def test_a_broken_connection_is_no_answer_and_is_opened_again(served: tuple[Server, Address]) -> None:
    server, address = served
    pool = Pool(address, 1)
    await pool.start()
    assert await pool.call(request("GET", "/gone", {}), 10.0) == (0, b"")
    assert (await pool.call(request("GET", "/back", {}), 10.0)).status == 200
    assert server.connections == 2
    await pool.stop()


async def test_a_connection_that_was_silent_for_long_is_not_used(
    served: tuple[Server, Address], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, address = served
    pool = Pool(address, 1)
    await pool.start()
    monkeypatch.setattr("streaming.bench.order_client.IDLE_S", -1.0)
    assert (await pool.call(request("GET", "/", {}), 10.0)).status == 200
    assert server.connections == 2
    await pool.stop()


async def test_nobody_there_is_an_error_and_later_no_answer(free_port: int) -> None:
    pool = Pool(Address("127.0.0.1", free_port), 1)
    with pytest.raises(OSError, match="onnect"):
        await pool.start()
    assert await pool.call(request("GET", "/", {}), 10.0) == (0, b"")


def test_a_request_says_who_asks_and_how_long_it_is() -> None:
    key = Key("PK345678", "0123456789abcdef", "a", frozenset({"read"}), "a")
    text = request("POST", "/v2/orders", headers_of(key), b"{}").decode()
    assert text.startswith("POST /v2/orders HTTP/1.1\r\n")
    assert "APCA-API-KEY-ID: PK345678\r\nAPCA-API-SECRET-KEY: 0123456789abcdef\r\n" in text
    assert text.endswith("Content-Length: 2\r\n\r\n{}")
