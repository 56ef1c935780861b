"""A request for an account that another process owns, asked there once: as it came, and answered as it is answered.

The owner checks the keys again; both processes have the same. What was forwarded is not forwarded again, so that two
processes which each take the other for the owner cannot send a request around.
"""

import asyncio
import http.client
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

MARK = "x-forwarded-request"
# What the owner may take, its own wait for the broker included.
WITHIN_S = 5.0
MAX_WAITING = 16
# As `operations.request_ids` gives them: the id goes into the journal, and a stranger may have set the header.
_ID = re.compile(r"[0-9a-f]{12}-[0-9a-f]{1,16}")
_TAKEN = ("apca-api-key-id", "apca-api-secret-key", "content-type")
_GIVEN = ("content-type", "retry-after", "x-request-id")


def kept_id(headers: Mapping[str, str]) -> str | None:
    """Return the id that a request got where it came in first, or None."""
    found = headers.get(MARK, "")
    return found if _ID.fullmatch(found) else None


class Forwarder:
    """Asks owners, so many requests at a time; threads, because an owner elsewhere is the exception."""

    def __init__(self, within_s: float = WITHIN_S, waiting: int = MAX_WAITING) -> None:
        self._within_s = within_s
        self._free = waiting
        self._threads = ThreadPoolExecutor(waiting, "forward")

    async def ask(self, url: str | None, request: Request, body: bytes, id_: str) -> Response | None:
        """Return the owner's answer; None if it is not known, was asked already, or does not answer in time."""
        if url is None or MARK in request.headers or not self._free:
            return None
        headers = {name: request.headers[name] for name in _TAKEN if name in request.headers} | {MARK: id_}
        query = request.scope["query_string"].decode("latin-1")
        target = request.scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        self._free -= 1
        try:
            loop = asyncio.get_running_loop()
            work = loop.run_in_executor(self._threads, self._call, url, request.method, target, headers, body)
            work.add_done_callback(self._freed)
            return await asyncio.wait_for(asyncio.shield(work), self._within_s)
        except (OSError, http.client.HTTPException, ValueError):
            return None

    def _freed(self, work: "asyncio.Future[Response]") -> None:
        self._free += 1
        if not work.cancelled():
            # An answer that came too late is nobody's.
            work.exception()

    def _call(self, url: str, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self._within_s)
        try:
            connection.request(method, target, body or None, dict(headers))
            answer = connection.getresponse()
            given = {name: value for name in _GIVEN if (value := answer.getheader(name)) is not None}
            return Response(answer.read(), answer.status, given)
        finally:
            connection.close()
