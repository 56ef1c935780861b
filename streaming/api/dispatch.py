"""The short way of a request: one look by method and path finds its operation, before any middleware.

An operation has its own gate for errors, bodies and keys, so FastAPI's layers would only be passed through: they cost
more than the order itself. What is not found here takes the long way, which answers 404 and 405.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from re import Pattern
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

Endpoint = Callable[[Request], Awaitable[Response]]
Scope = MutableMapping[str, Any]


class Dispatch:
    """The operations by method, those without a parameter in the path by the whole path."""

    def __init__(self) -> None:
        self._plain: dict[tuple[str, str], Endpoint] = {}
        self._shaped: dict[str, list[tuple[Pattern[str], Endpoint]]] = {}

    def add(self, method: str, path: str, endpoint: Endpoint) -> None:
        """Add an operation; its parameters are texts."""
        if "{" in path:
            self._shaped.setdefault(method, []).append((compile_path(path)[0], endpoint))
        else:
            self._plain[method, path] = endpoint

    def find(self, scope: Scope) -> Endpoint | None:
        """Return who answers a request, and put the parameters of its path into the scope."""
        method, path = scope["method"], scope["path"]
        endpoint = self._plain.get((method, path))
        if endpoint is not None:
            scope["path_params"] = {}
            return endpoint
        for pattern, shaped in self._shaped.get(method, ()):
            match = pattern.match(path)
            if match is not None:
                scope["path_params"] = match.groupdict()
                return shaped
        return None

    def methods(self, path: str) -> list[str]:
        """Return the methods that a path takes."""
        plain = {method for method, known in self._plain if known == path}
        return sorted(plain | {method for method, all_ in self._shaped.items() if any(p.match(path) for p, _ in all_)})
