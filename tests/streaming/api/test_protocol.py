"""A connection is bounded before a request exists: what is too much, too slow or no HTTP is told and closed."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from fastapi import FastAPI, Request

from streaming.api import protocol
from streaming.api.server import HttpServer

GET = b"GET /x HTTP/1.1\r\nHost: desk\r\n"
# The last part goes beyond the bound: what is sent after that may be answered by a reset.
PARTS = protocol.MAX_HEAD_BYTES // 1_000 + 1


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    api = FastAPI()
    api.get("/x")(lambda: {"y": 1})

    async def read(request: Request) -> dict[str, str]:
        return {"read": (await request.body()).decode()}

    api.post("/read")(read)
    made = HttpServer("127.0.0.1", 0)
    await made.start(api)
    yield made
    await made.stop()


async def sent(server: HttpServer, *parts: bytes) -> tuple[int, str]:
    """Send parts one after the other; return the status and the code or body of the answer before the close."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    page = msgspec.json.decode(body)
    return int(head.split()[1]), page.get("code", "")


@pytest.mark.parametrize(
    "parts",
    [
        (GET, b"X-A: " + b"a" * protocol.MAX_HEAD_BYTES + b"\r\n\r\n"),
        (GET, *(b"X-%02d: %s\r\n" % (n, b"a" * 992) for n in range(PARTS))),
        (GET, b"X-A: ", *(b"a" * 1_000 for _ in range(PARTS))),
        (b"GET /", *(b"a" * 1_000 for _ in range(PARTS))),
        (b"GET /" + b"a" * 66_000 + b" HTTP/1.1\r\n\r\n",),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 11_000 + b"\r\n",),
    ],
    ids=["one header", "many headers", "a header without end", "an address without end", "an address", "at once"],
)
async def test_a_head_without_measure_is_431(server: HttpServer, parts: tuple[bytes, ...]) -> None:
    assert await sent(server, *parts) == (431, "HEAD_TOO_LARGE")


async def test_a_head_drop_by_drop_is_408(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 0.05)
    assert await sent(server, GET, b"X-A: a") == (408, "HEAD_TOO_SLOW")


async def test_a_body_drop_by_drop_is_408(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "BODY_S", 0.05)
    head = b"POST /read HTTP/1.1\r\nHost: desk\r\nContent-Length: 3\r\n\r\n"
    assert await sent(server, head, b"a") == (408, "BODY_TOO_SLOW")
    monkeypatch.setattr(protocol, "BODY_S", 20.0)
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(head + b"a")
    await asyncio.sleep(0)
    writer.write(b"bc")
    async with asyncio.timeout(20):
        await reader.readuntil(b'{"read":"abc"}')
    writer.close()


async def test_who_was_answered_before_the_body_came_is_closed(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "BODY_S", 0.05)
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(b"POST /none HTTP/1.1\r\nHost: desk\r\nContent-Length: 3\r\n\r\n")
    async with asyncio.timeout(20):
        answer = await reader.read()
    assert answer.split()[1] == b"404"
    assert answer.count(b"HTTP/1.1") == 1
    writer.close()


async def test_a_silent_connection_is_closed(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SILENT_S", 0.05)
    reader, writer = await asyncio.open_connection(server.host, server.port)
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    "text",
    [
        b"hello\r\n\r\n",
        b"GET /x HTTP/9.9\r\n\r\n",
        b"GET /x HTTP/1.1\r\nA b\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
        b"GET /x HTTP/1.1\r\nA: b\x00c\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["words", "version", "no colon", "two lengths", "negative length", "smuggling", "a NUL", "TLS"],
)
async def test_what_is_no_http_is_400_in_json(server: HttpServer, text: bytes) -> None:
    assert await sent(server, text) == (400, "HTTP_INVALID")


async def test_one_connection_too_many_is_503_and_the_others_go_on(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 1)
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(GET + b"\r\n")
    assert (await reader.readline()).split()[1] == b"200"
    assert await sent(server) == (503, "TOO_MANY_CONNECTIONS")
    await reader.readuntil(b'{"y":1}')
    writer.write(GET + b"\r\n")
    assert (await reader.readline()).split()[1] == b"200"
    writer.close()
    await writer.wait_closed()


async def test_a_connection_serves_one_request_after_the_other(server: HttpServer) -> None:
    # Together they are larger than one head may be.
    one = GET + b"X-A: " + b"a" * 40_000 + b"\r\n"
    reader, writer = await asyncio.open_connection(server.host, server.port)
    for _ in range(3):
        writer.write(one + b"\r\n")
        assert (await reader.readline()).split()[1] == b"200"
        await reader.readuntil(b'{"y":1}')
    writer.write((GET + b"\r\n") * 2)
    for _ in range(2):
        await reader.readuntil(b'{"y":1}')
    writer.close()
