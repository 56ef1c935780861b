"""Two applications on one port."""

from typing import Any

from streaming.api.front import Front


class Named:
    """An application that notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])


async def test_each_has_its_paths_once_both_are_there() -> None:
    pages, api = Named(), Named()
    front = Front(pages, frozenset({"/status"}))

    async def ask(path: str) -> None:
        await front({"type": "http", "path": path}, None, None)

    await ask("/v2/orders")
    front.mount(api)
    for path in ("/status", "/v2/orders", "/status/", "/stream"):
        await ask(path)
    assert (pages.asked, api.asked) == (["/v2/orders", "/status"], ["/v2/orders", "/status/", "/stream"])
