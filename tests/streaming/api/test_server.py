"""The server binds at once, serves in the running loop and leaves signals alone."""

import signal

import httpx
import pytest
from fastapi import FastAPI

from streaming.api.server import HttpServer


async def test_it_serves_on_a_free_port_and_leaves_signals_alone() -> None:
    api = FastAPI()
    api.get("/x")(lambda: {"y": 1})
    before = signal.getsignal(signal.SIGTERM)
    server = HttpServer("127.0.0.1", 0)
    await server.start(api)
    assert signal.getsignal(signal.SIGTERM) is before
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"http://127.0.0.1:{server.port}/x")
    assert answer.json() == {"y": 1}
    assert "server" not in answer.headers
    await server.stop()
    again = HttpServer("127.0.0.1", server.port)
    await again.stop()


async def test_a_port_in_use_shows_before_anything_starts() -> None:
    first = HttpServer("127.0.0.1", 0)
    await first.start(FastAPI())
    with pytest.raises(OSError, match="in use"):
        HttpServer("127.0.0.1", first.port)
    await first.stop()
