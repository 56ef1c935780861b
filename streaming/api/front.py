"""What one port serves: the pages of the process and, once it is there, the order API beside them."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class Front:
    """An ASGI application over two: the pages keep their paths, the order API has every other."""

    def __init__(self, pages: App, paths: frozenset[str]) -> None:
        """Take the pages and the paths that are theirs."""
        self._pages, self._paths = pages, paths
        self._api: App | None = None

    def mount(self, api: App) -> None:
        """Serve the order API from now on."""
        self._api = api

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Hand a request to whom it belongs."""
        app = self._pages if self._api is None or scope["path"] in self._paths else self._api
        await app(scope, receive, send)
