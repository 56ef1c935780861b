"""The short way finds what the long way finds, and nothing else."""

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from streaming.api.app import OPERATIONS
from streaming.api.dispatch import Dispatch

PATHS = (
    "/v2/orders",
    "/v2/orders/",
    "/v2/orders:by_client_order_id",
    "/v2/orders/0d6a",
    "/v2/orders/0d6a/x",
    "/v2/assets/BTC/USD",
    "/v2/assets/",
    "/v2/positions/BTC/USD",
    "/v2/account/configurations",
    "/v2/account/portfolio/history",
    "/v1/orders/0d6a/why",
    "/v1/orders//why",
    "/v1/kill",
    "/v3/orders",
    "//v2/orders",
    "/",
)


def scope(method: str, path: str) -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}


def path_of(path: str) -> str:
    return path.replace("{symbol}", "{symbol:path}")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", PATHS)
def test_both_ways_lead_to_one_place(method: str, path: str) -> None:
    async def serve(_: Request) -> Response:
        return Response()

    dispatch = Dispatch()
    routes = []
    for operation in OPERATIONS:
        dispatch.add(operation.method, path_of(operation.path), serve)
        routes.append(Route(path_of(operation.path), serve, methods=[operation.method]))
    short, long = scope(method, path), scope(method, path)
    found = dispatch.find(short)
    if method == "HEAD":
        assert found is None
        return
    matches = [child for match, child in (route.matches(long) for route in routes) if match is Match.FULL]
    assert (found is not None) == bool(matches)
    if matches:
        assert short["path_params"] == matches[0]["path_params"]


def test_no_path_is_two_operations() -> None:
    """Otherwise the order of the look-ups would matter."""
    plain = [operation.path for operation in OPERATIONS if "{" not in operation.path]
    for operation in OPERATIONS:
        route = Route(path_of(operation.path), lambda _: Response(), methods=[operation.method])
        if "{" in operation.path:
            assert not any(route.path_regex.match(path) for path in plain), operation.path
