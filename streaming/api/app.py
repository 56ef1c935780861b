"""The order API as one application over a desk: Alpaca's trading API v2 and our own routes under /v1. No globals."""

from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from streaming.api import account, activities, configuration, controls, evidence, orders, positions, what_if
from streaming.api.dispatch import Dispatch
from streaming.api.errors import ApiError
from streaming.api.forward import Forwarder
from streaming.api.history import History
from streaming.api.keys import KeyRing
from streaming.api.limiter import Limiter
from streaming.api.openapi import document
from streaming.api.operations import Operation, Services, endpoint, fail, request_ids
from streaming.api.stream import handler
from streaming.api.symbols import SymbolBook
from streaming.owner.desk import Desk
from streaming.settings import ApiSettings
from trading.instruments import InstrumentTable

TITLE = "trade2026 order API"
VERSION = "1"
OPERATIONS: tuple[Operation, ...] = (
    *orders.OPERATIONS,
    *positions.OPERATIONS,
    *account.OPERATIONS,
    *configuration.OPERATIONS,
    *activities.OPERATIONS,
    *what_if.OPERATIONS,
    *controls.OPERATIONS,
    *evidence.OPERATIONS,
)
METHOD_NOT_ALLOWED = 405
_CODES = {404: "NOT_FOUND", METHOD_NOT_ALLOWED: "METHOD_NOT_ALLOWED"}


class OrderApp(FastAPI):
    """FastAPI with a short way to the operations."""

    def __init__(self, dispatch: Dispatch, **options: Any) -> None:
        super().__init__(**options)
        self._dispatch = dispatch

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        serve = self._dispatch.find(scope) if scope["type"] == "http" else None
        if serve is None:
            await super().__call__(scope, receive, send)
        else:
            response = await serve(Request(scope, receive, send))
            await response(scope, receive, send)


def create_app(
    desk: Desk, keys: KeyRing, history: History, instruments: InstrumentTable, settings: ApiSettings | None = None
) -> FastAPI:
    """Return the application. Nothing is read or started before the first request."""
    settings = settings or ApiSettings()
    services = Services(
        desk=desk,
        keys=keys,
        symbols=SymbolBook(instruments, settings.venue),
        settings=settings,
        history=history,
        limiter=Limiter(settings.key_rate, settings.key_burst),
        strangers=Limiter(settings.stranger_rate, settings.stranger_burst),
        ids=request_ids(),
        forward=Forwarder(),
    )
    dispatch = Dispatch()
    app = OrderApp(
        dispatch, title=TITLE, version=VERSION, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    app.include_router(_router(services, dispatch))
    app.add_api_websocket_route("/stream", handler(services))
    page = document(OPERATIONS, TITLE, VERSION)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> dict[str, Any]:
        """Return the description of this API."""
        return page

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = _CODES.get(error.status_code, "REFUSED")
        wrong = ApiError(error.status_code, code, f"{request.method} {request.url.path[:200]}: {error.detail}")
        response = fail(wrong, services.ids(), alpaca=request.url.path.startswith("/v2"))
        response.headers.update(error.headers or {})
        methods = dispatch.methods(request.url.path)
        if error.status_code == METHOD_NOT_ALLOWED and methods:
            # Each operation is a route of its own, and the router tells the methods of the first alone.
            response.headers["Allow"] = ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])
        return response

    app.add_exception_handler(HTTPException, refused)
    return app


def _router(services: Services, dispatch: Dispatch) -> APIRouter:
    router = APIRouter()
    for operation in OPERATIONS:
        # A symbol may hold a slash, as BTC/USD does.
        path = operation.path.replace("{symbol}", "{symbol:path}")
        serve = endpoint(operation, services)
        dispatch.add(operation.method, path, serve)
        router.add_route(path, serve, methods=[operation.method], include_in_schema=False)
    return router
