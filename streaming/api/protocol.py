"""HTTP on one connection, with the bounds that uvicorn leaves open: size and time of a request, connections.

What is no HTTP, too large or too slow is answered in JSON and closed before it costs more.
"""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
# Of a header beside its name and value: colon, blank, CR, LF.
LINE_BYTES = 4
MAX_CONNECTIONS = 512
# How soon a head must be whole after its first byte, and a body after its head; a new connection must say something.
HEAD_S = 10.0
BODY_S = 10.0
SILENT_S = 30.0
REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class _HeadTooLargeError(Exception):
    """More bytes before the body than a client may send."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_head, self._in_body = True, False
        self._head_bytes = self._seen = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timed = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Take the connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(503, "TOO_MANY_CONNECTIONS", f"more than {MAX_CONNECTIONS} connections are open")
            return
        self._timer = self.loop.call_later(SILENT_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, within the bounds; only what has not come in one piece needs a clock."""
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._too_large()
        elif self._in_head and self._head_bytes:
            self._time("head", HEAD_S)
        elif self._in_body and self in self.connections:
            self._time("body", BODY_S)

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        super().on_url(url)
        if len(self.url) > MAX_HEAD_BYTES:
            raise _HeadTooLargeError

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; the sum of a head that came in one piece is bounded too."""
        super().on_header(name, value)
        self._seen += len(name) + len(value) + LINE_BYTES
        if self._seen > MAX_HEAD_BYTES:
            raise _HeadTooLargeError

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._seen = 0

    def on_headers_complete(self) -> None:
        """Hand the request over; the size of the body has bounds of its own."""
        self._in_head, self._in_body = False, True
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Be ready for the next head."""
        super().on_message_complete()
        self._disarm()
        self._in_head, self._in_body, self._head_bytes = True, False, 0

    def send_400_response(self, msg: str) -> None:
        """Say in JSON what was wrong."""
        if max(self._head_bytes, self._seen) > MAX_HEAD_BYTES:
            self._too_large()
        else:
            self._refuse(400, "HTTP_INVALID", msg)

    def _too_large(self) -> None:
        self._refuse(431, "HEAD_TOO_LARGE", f"address and headers have at most {MAX_HEAD_BYTES} bytes")

    def _time(self, part: str, seconds: float) -> None:
        if self._timed != part:
            self._disarm()
            self._timer, self._timed = self.loop.call_later(seconds, self._slow, part, seconds), part

    def _slow(self, part: str, seconds: float) -> None:
        if part == "body" and self.cycle.response_started:
            self.transport.close()
        else:
            self._refuse(408, f"{part.upper()}_TOO_SLOW", f"the {part} did not arrive within {seconds:g} s")

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._disarm()
        if self.transport.is_closing():
            return
        body = json.dumps({"code": code, "message": message}).encode()
        retry = "Retry-After: 1\r\n" if status == 503 else ""
        head = (
            f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json\r\n{retry}"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timed = None, ""
