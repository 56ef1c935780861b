"""What Dagster's webserver says of itself, in lines for people."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from orchestration.commands.dagster_health import QUERY, reasons

LOADED = {"name": "trade", "locationOrLoadError": {"__typename": "RepositoryLocation"}}
BROKEN = {"name": "trade", "locationOrLoadError": {"__typename": "PythonError", "message": "two heads\n"}}
ALIVE = {"daemonType": "SENSOR", "required": True, "healthy": True}
DEAD = {"daemonType": "SCHEDULER", "required": True, "healthy": False}
OPTIONAL = {"daemonType": "BACKFILL", "required": False, "healthy": False}


@contextmanager
def webserver(answer: Any) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(answer if asked == {"query": QUERY} else {}).encode()
            self.send_response(200)
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


def page(locations: list[Mapping[str, Any]], daemons: list[Mapping[str, Any]]) -> dict[str, Any]:
    statuses = {"daemonHealth": {"allDaemonStatuses": daemons}}
    return {"data": {"workspaceOrError": {"locationEntries": locations}, "instance": statuses}}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (page([LOADED], [ALIVE, OPTIONAL]), []),
        (page([BROKEN], [ALIVE, DEAD]), ["trade does not load: two heads", "SCHEDULER has no heartbeat"]),
        (page([{"name": "trade", "locationOrLoadError": None}], [ALIVE]), ["trade is loading"]),
        (page([], [ALIVE]), ["no definitions are loaded"]),
        ({"errors": ["no"]}, ["the webserver does not answer"]),
        ("nonsense", ["the webserver does not answer"]),
    ],
)
def test_the_answer_becomes_reasons(answer: Any, told: list[str]) -> None:
    with webserver(answer) as port:
        assert reasons("127.0.0.1", port) == told


def test_nobody_answers(free_port: int) -> None:
    assert reasons("127.0.0.1", free_port) == ["the webserver does not answer"]
