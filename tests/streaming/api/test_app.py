"""The application stands alone: every operation has a route, unknown paths are JSON, and two of them share nothing."""

from pathlib import Path

from streaming.api.app import OPERATIONS
from tests.streaming.api.http import api


async def test_every_operation_answers_a_stranger_with_401(tmp_path: Path) -> None:
    async with api(tmp_path, stranger_burst=1_000) as http:
        for operation in OPERATIONS:
            path = operation.path.replace("{order_id}", "x").replace("{symbol}", "SPY")
            answer = await http._client.request(operation.method, path)
            assert (answer.status_code, answer.headers["content-type"]) == (401, "application/json")


async def test_paths_and_methods_that_are_not_there_are_json(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        lost = await http.ask("GET", "/nowhere")
        assert (lost.status_code, lost.json()["code"]) == (404, "NOT_FOUND")
        wrong = await http.ask("PUT", "/v2/orders")
        assert (wrong.status_code, wrong.json()["code"]) == (405, 40510000)
        assert wrong.json()["reason"] == "METHOD_NOT_ALLOWED"
        assert wrong.headers["allow"] == "DELETE, GET, POST, HEAD"
        other = await http.ask("OPTIONS", "/v2/positions/BTC/USD")
        assert other.headers["allow"] == "DELETE, GET, HEAD"
        own = await http.ask("PUT", "/openapi.json")
        assert (own.status_code, own.headers["allow"]) == (405, "GET")


async def test_the_document_is_served_without_a_key(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        page = (await http._client.get("/openapi.json")).json()
        assert page["openapi"].startswith("3.1")
        assert "/v2/orders" in page["paths"]


async def test_two_applications_share_nothing(tmp_path: Path) -> None:
    async with api(tmp_path / "one") as one, api(tmp_path / "other") as other:
        await one.order(client_order_id="x")
        assert await other.get("/v2/orders") == []
