"""Requests to the application of a rig, without a socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.api_rig import Rig, headers_of

ORDER: dict[str, Any] = {
    "symbol": "BTC/USD",
    "qty": "0.5",
    "side": "buy",
    "type": "limit",
    "time_in_force": "gtc",
    "limit_price": "49000",
}


class Http:
    """A client of one rig; the key of account `a` unless another is named."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app=rig.app), base_url="http://desk")

    async def ask(self, method: str, path: str, key: str = "a", **more: Any) -> httpx.Response:
        """Send a request."""
        return await self._client.request(method, path, headers=headers_of(key), **more)

    async def get(self, path: str, key: str = "a", expect: int = 200, **query: Any) -> Any:
        """Return the JSON of a page."""
        answer = await self.ask("GET", path, key, params=query)
        assert answer.status_code == expect, answer.text
        return answer.json()

    async def order(self, key: str = "a", **changes: Any) -> dict[str, Any]:
        """Submit an order that must be taken."""
        answer = await self.ask("POST", "/v2/orders", key, json=ORDER | changes)
        assert answer.status_code == 200, answer.text
        taken: dict[str, Any] = answer.json()
        return taken

    async def close(self) -> None:
        """Let go of everything."""
        await self._client.aclose()
        self.rig.history.close()


@asynccontextmanager
async def api(home: Path, *accounts: str, **settings: Any) -> AsyncIterator[Http]:
    """Open an API with funded accounts."""
    http = Http(Rig(home, **settings))
    await http.rig.fund(*(accounts or ("a", "b")))
    yield http
    await http.close()
