"""The pages of a worker: live, ready with reasons, metrics, status; errors are JSON with code and message."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from streaming.adapters.telemetry import Metrics
from streaming.api.health import PATHS, make_api
from streaming.status import Board
from streaming.transport.client import BrokerError


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path, ["normalize"], "log")


@pytest.fixture
async def http(board: Board) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=make_api(board, Metrics(board.page)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
        yield client


async def test_live_until_failed(board: Board, http: httpx.AsyncClient) -> None:
    assert (await http.get("/health/live")).json() == {"status": "live", "state": "starting"}
    board.fail("DISK_FULL", "no space")
    answer = await http.get("/health/live")
    assert (answer.status_code, answer.json()) == (503, {"code": "DISK_FULL", "message": "no space"})


async def test_ready_only_when_ready_and_without_reasons(board: Board, http: httpx.AsyncClient) -> None:
    answer = await http.get("/health/ready")
    assert (answer.status_code, answer.json()["message"]) == (503, "the process is starting")
    board.state = "ready"
    assert (await http.get("/health/ready")).status_code == 200
    board.reasons = lambda: ["normalize has no partitions"]
    answer = await http.get("/health/ready")
    assert (answer.status_code, answer.json()) == (
        503,
        {
            "code": "NOT_READY",
            "message": "normalize has no partitions",
            "reasons": ["normalize has no partitions"],
        },
    )


async def test_status_is_the_page(http: httpx.AsyncClient) -> None:
    page = (await http.get("/status")).json()
    assert (page["version"], page["state"], page["roles"]) == (1, "starting", ["normalize"])


async def test_metrics_are_prometheus_text(http: httpx.AsyncClient) -> None:
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'trade_state{state="starting"} 1.0' in answer.text


async def test_errors_are_json(board: Board, http: httpx.AsyncClient) -> None:
    answer = await http.get("/nowhere")
    assert (answer.status_code, answer.json()) == (404, {"code": "NOT_FOUND", "message": "/nowhere: Not Found"})
    answer = await http.post("/status")
    assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")

    def broken() -> list[str]:
        raise RuntimeError("a secret path")

    board.reasons = broken
    answer = await http.get("/health/ready")
    assert answer.status_code == 500
    assert answer.json()["code"] == "INTERNAL"
    assert "secret" not in answer.text


async def test_a_broker_that_does_not_answer_is_503_without_a_trace(board: Board, http: httpx.AsyncClient) -> None:
    async def stopped() -> None:
        raise BrokerError("NOT_STARTED", "the client is not started")

    board.refresh = stopped  # type: ignore[method-assign,assignment] # a fake
    for path in ("/status", "/metrics"):
        answer = await http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "NOT_STARTED")


def test_the_paths_of_the_pages_are_named(board: Board) -> None:
    pages = make_api(board, Metrics(board.page))
    assert {route.path for route in pages.routes if isinstance(route, APIRoute)} == PATHS
