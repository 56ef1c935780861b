"""Small Faust apps for the tests of the transports, and bounded waiting."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust
from faust.contrib.asgi import faust_app_running

from streaming.transport.connect import faust_broker_url

WAIT_S = 60.0
running = faust_app_running
Handler = Callable[[Any], Any]


def make_app(url: str, group: str, topic: str, handler: Handler, folder: Path, **options: Any) -> faust.App:
    """Return an app whose one agent passes each event, unacknowledged, to `handler`; True from it acknowledges."""
    app = faust.App(
        group,
        broker=faust_broker_url(url),
        store="memory://",
        datadir=str(folder / "faust"),
        topic_disable_leader=True,
        web_enabled=False,
        stream_wait_empty=False,
        broker_commit_interval=0.1,
        broker_max_poll_records=1_000,
        key_serializer="raw",
        value_serializer="raw",
        **options,
    )
    source = app.topic(topic, key_type=bytes, value_type=bytes)

    async def consume(stream: Any) -> None:
        async for event in stream.noack().events():
            if handler(event):
                event.ack()

    app.agent(source)(consume)
    return app


async def until(condition: Callable[[], Any]) -> None:
    """Wait until `condition` holds; fail when it does not in time."""
    async with asyncio.timeout(WAIT_S):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.01)
