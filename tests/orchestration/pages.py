"""A status page on a loopback port, as the streaming process would serve it."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@contextmanager
def served(page: Mapping[str, Any]) -> Iterator[int]:
    """Serve the page at /status while the block runs; yield the port."""
    body = json.dumps(page).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def left_behind(home: Path, page: Mapping[str, Any]) -> None:
    """Write the page where the streaming process leaves its last one."""
    (home / "status").mkdir(parents=True, exist_ok=True)
    (home / "status" / "streaming.json").write_text(json.dumps(page))
