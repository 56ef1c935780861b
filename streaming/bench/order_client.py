"""A lean HTTP/1.1 client over kept-alive connections: one request at a time on each, the rest wait in their order.

Whoever measures shares the machine with what is measured, so an answer costs a few microseconds and no task.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import NamedTuple, cast

from streaming.api.keys import Key

CONNECT_S = 10.0
# The server closes a connection after 5 s of silence; a request must not meet that.
IDLE_S = 3.0
END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"
# What `done` gets where the connection broke before the answer was complete.
NO_ANSWER = 0

Done = Callable[[int, bytes], None]


class Address(NamedTuple):
    """Where the platform answers."""

    host: str
    port: int


class Answer(NamedTuple):
    """HTTP status and body; status 0 where there was no answer."""

    status: int
    body: bytes


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return a whole request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: load", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + END_OF_HEAD + body


def headers_of(key: Key) -> dict[str, str]:
    """Return the headers that show a key pair."""
    return {"APCA-API-KEY-ID": key.key_id, "APCA-API-SECRET-KEY": key.secret}


class Pool:
    """A bounded number of connections to one server; one that broke or grew old is opened again when it is needed."""

    def __init__(self, address: Address, connections: int) -> None:
        self._address = address
        self._size = connections
        self._idle: list[_Connection] = []
        self._waiting: deque[tuple[bytes, Done]] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._open: set[_Connection] = set()
        self._stopping = False

    async def start(self) -> None:
        """Open every connection; raise `OSError`."""
        await asyncio.gather(*(self._connect() for _ in range(self._size)))

    async def stop(self) -> None:
        """Close every connection; what waits gets no answer."""
        self._stopping = True
        for task in self._opening:
            task.cancel()
        for connection in list(self._open):
            connection.close()
        self._refuse()

    def send(self, payload: bytes, done: Done) -> None:
        """Send a request as soon as a connection is free, and tell its outcome."""
        oldest = perf_counter() - IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.used >= oldest:
                connection.ask(payload, done)
                return
            connection.close()
        self._waiting.append((payload, done))
        if len(self._open) + len(self._opening) < self._size:
            self._reopen()

    async def call(self, payload: bytes, within_s: float) -> Answer:
        """Send a request and return its answer; raise `TimeoutError`."""
        outcome: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def done(status: int, body: bytes) -> None:
            if not outcome.done():
                outcome.set_result(Answer(status, body))

        self.send(payload, done)
        return await asyncio.wait_for(outcome, within_s)

    def free(self, connection: "_Connection") -> None:
        """Give a connection that has its answer the next request."""
        if self._waiting:
            connection.ask(*self._waiting.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: "_Connection") -> None:
        """Replace a connection that broke."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._waiting and not self._stopping:
            self._reopen()

    def _reopen(self) -> None:
        task = asyncio.create_task(self._try_to_connect())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _try_to_connect(self) -> None:
        try:
            await self._connect()
        except OSError:
            if not self._open:
                self._refuse()

    async def _connect(self) -> None:
        opening = asyncio.get_running_loop().create_connection(lambda: _Connection(self), *self._address)
        _, connection = await asyncio.wait_for(opening, CONNECT_S)
        self._open.add(connection)
        self.free(connection)

    def _refuse(self) -> None:
        while self._waiting:
            self._waiting.popleft()[1](NO_ANSWER, b"")


class _Connection(asyncio.Protocol):
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._done: Done | None = None
        self._seen = b""
        self.used = perf_counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, payload: bytes, done: Done) -> None:
        """Send one request; `done` hears of its answer."""
        self._done, self._seen = done, b""
        assert self._transport is not None, "a connection is given out when it is made"
        self._transport.write(payload)

    def data_received(self, data: bytes) -> None:
        self._seen = self._seen + data if self._seen else data
        head, found, body = self._seen.partition(END_OF_HEAD)
        if not found:
            return
        head = head.lower()
        place = head.find(_LENGTH)
        length = int(head[place + len(_LENGTH) :].split(b"\r\n", 1)[0]) if place >= 0 else 0
        if len(body) >= length:
            self._answer(int(head[9:12]), body)

    def connection_lost(self, _: Exception | None) -> None:
        done, self._done = self._done, None
        self._pool.lost(self)
        if done is not None:
            done(NO_ANSWER, b"")

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _answer(self, status: int, body: bytes) -> None:
        done, self._done = self._done, None
        self.used = perf_counter()
        self._pool.free(self)
        if done is not None:
            done(status, body)
