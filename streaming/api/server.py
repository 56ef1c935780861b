"""An HTTP server inside the running event loop. Signals belong to the worker, not to it."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from streaming.api.protocol import GuardedProtocol

SHUTDOWN_S = 3.0
# The largest websocket message that a client may send.
MAX_FRAME_BYTES = 65_536


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own; `up` is set when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


class HttpServer:
    """Serves one ASGI application. The port is bound at once, so that a conflict shows before anything starts."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.host, self.port = host, int(self._socket.getsockname()[1])
        self._server: _Server | None = None
        self.task: asyncio.Task[None] | None = None

    async def start(self, api: Any) -> None:
        """Start to serve."""
        config = uvicorn.Config(
            api,
            loop="none",
            http=GuardedProtocol,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="websockets-sansio",
            ws_max_size=MAX_FRAME_BYTES,
        )
        config.timeout_graceful_shutdown = int(SHUTDOWN_S)
        self._server = _Server(config)
        self.task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="http")
        await self._server.up.wait()

    async def stop(self) -> None:
        """Finish open requests and close the port."""
        if self._server is not None and self.task is not None:
            self._server.should_exit = True
            await asyncio.wait({self.task}, timeout=2 * SHUTDOWN_S)
        self._socket.close()
