"""A stand-in for the streaming worker: serves a status page, and ends in the way it is told to.

Run as `python -m tests.orchestration.fake_worker PORT WHAT [FILE]`.
"""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

PAGE: dict[str, Any] = {
    "version": 1,
    "state": "ready",
    "error": None,
    "feed": {"name": "fake", "venue": "SIM", "drained": False, "frames": 3, "ticks": 30, "fraction": 0.5},
    "topics": {"deadletter": {"0": {"begin": 0, "end": 2}}},
    "groups": {"sink-ticks": {"topic": "ticks", "committed": {"0": 3}, "lag": 4}},
    "flows": {"sink-ticks": {"0": {"rows": 10, "pending_rows": 5}, "1": {"rows": 20, "pending_rows": 0}}},
    "ticks_per_s": 1234.5,
}
DRAINED = PAGE | {
    "feed": PAGE["feed"] | {"drained": True, "fraction": 1.0},
    "groups": {"sink-ticks": PAGE["groups"]["sink-ticks"] | {"lag": 0}},
    "flows": {"sink-ticks": {"0": {"rows": 30, "pending_rows": 0}}},
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every GET with the page."""

    page: dict[str, Any] = PAGE

    def do_GET(self) -> None:
        """Send the page."""
        body = json.dumps(self.page).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


def serve(port: int, page: dict[str, Any]) -> None:
    """Serve in the background."""
    Handler.page = page
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def tell(file: Path | None, what: str, did: str) -> None:
    """Note what happened, if this is one of several workers."""
    if file is not None and what in {"orders", "market"}:
        with file.open("a") as notes:
            notes.write(f"{what} {did}\n")


def main(port: int, what: str, file: Path | None) -> None:
    """Behave."""
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    signal.signal(signal.SIGTERM, ask)
    if what == "crash":
        sys.stdout.write(json.dumps({"level": "error", "code": "LOG_TORN", "message": "the log is torn"}) + "\n")
        sys.exit(3)
    if what == "feed":
        sys.stdout.write(json.dumps({"level": "error", "code": "FEED_COLUMN_MISSING", "message": "no price"}) + "\n")
        sys.exit(65)
    if what == "config":
        sys.stderr.write("trade.toml: feed.rate: must be above 0\n")
        sys.exit(78)
    if what == "crash-once" and file is not None and not file.exists():
        file.write_text("crashed")
        sys.exit(3)
    if what == "family" and file is not None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        file.write_text(f"{os.getpid()} {child.pid}")
    page = dict(DRAINED if what in {"drained", "crash-once"} else PAGE)

    def rest(_number: int, _frame: FrameType | None) -> None:
        page["state"] = "quiet"
        tell(file, what, "quiet")

    signal.signal(signal.SIGUSR1, rest)
    serve(port, page)
    if file is not None and what in {"ready", "stubborn"}:
        file.write_text(str(os.getpid()))
    while not asked.wait(0.05) or what == "stubborn":
        time.sleep(0.01)
    tell(file, what, "end")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]) if len(sys.argv) > 3 else None)
