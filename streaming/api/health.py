"""Health, metrics and status over HTTP. An error is always JSON: `{code, message}`."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from streaming.adapters.telemetry import Metrics
from streaming.status import Board
from streaming.transport.client import BrokerError

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PATHS = frozenset({"/health/live", "/health/ready", "/metrics", "/status"})
_CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


def make_api(board: Board, metrics: Metrics) -> FastAPI:
    """Return the pages of one worker process."""
    api = FastAPI(title="trade streaming worker", docs_url=None, redoc_url=None, openapi_url=None)
    api.add_exception_handler(HTTPException, _refused)
    api.add_exception_handler(BrokerError, _unanswered)
    api.add_exception_handler(Exception, _failed)

    @api.get("/health/live")
    async def live() -> Response:
        """Answer 200 unless the process has failed."""
        if board.state == "failed":
            return _error(503, **(board.error or {"code": "FAILED", "message": "the process has failed"}))
        return JSONResponse({"status": "live", "state": board.state})

    @api.get("/health/ready")
    async def ready() -> Response:
        """Answer 200 when every role works, else 503 with the reasons."""
        reasons = board.reasons()
        if board.state == "ready" and not reasons:
            return JSONResponse({"status": "ready"})
        reasons = reasons or [f"the process is {board.state}"]
        return _error(503, "NOT_READY", "; ".join(reasons), reasons=reasons)

    @api.get("/metrics")
    async def page() -> Response:
        """Return the metrics in the Prometheus text format."""
        await board.refresh()
        return Response(metrics.render(), media_type=METRICS_TYPE)

    @api.get("/status")
    async def status() -> Response:
        """Return everything that is known about the process."""
        await board.refresh()
        return JSONResponse(board.page())

    return api


def _error(status: int, code: str, message: str, **more: Any) -> JSONResponse:
    return JSONResponse({"code": code, "message": message, **more}, status_code=status)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, _CODES.get(error.status_code, "REFUSED"), f"{request.url.path}: {error.detail}")


async def _unanswered(request: Request, error: Exception) -> Response:
    """The broker is away, or the process is stopping and has let go of it."""
    assert isinstance(error, BrokerError)
    return _error(503, error.code, f"{request.url.path}: {error}")


async def _failed(request: Request, _: Exception) -> Response:
    return _error(500, "INTERNAL", f"{request.url.path} failed; the log has the reason")
