"""The pages of `trade up` itself: live, ready and metrics of the supervisor and, through it, of each of its children.

The streaming worker has pages of its own; the two processes of Dagster have none, and are answered for here.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil

PROBE_S = 5.0
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
JSON_TYPE = "application/json"
_FAMILIES = (
    ("trade_process_up", "gauge", "1 while the process runs."),
    ("trade_process_ready", "gauge", "1 while the process does what it is for."),
    ("trade_process_restarts_total", "counter", "Times that the process was started again after a crash."),
    ("trade_process_resident_bytes", "gauge", "Memory of the process and of what it started."),
    ("trade_process_cpu_seconds", "gauge", "Processor time of the process and of what it has running."),
)


@dataclass(frozen=True, slots=True)
class Sight:
    """One child as the supervisor sees it: its process id while it runs, and how often it was started again."""

    name: str
    pid: int | None
    restarts: int


Probe = Callable[[], Sequence[str]]


class Pulse:
    """Serves the pages in threads of its own; probes tell, by name of a child, why it is not ready."""

    def __init__(
        self, host: str, port: int, sights: Callable[[], Sequence[Sight]], probes: Mapping[str, Probe]
    ) -> None:
        self._sights, self._probes = sights, probes
        self._reasons: dict[str, list[str]] = {name: ["not asked yet"] for name in probes}
        self._over = threading.Event()
        self._server = ThreadingHTTPServer((host, port), _handler(self))
        self._server.daemon_threads = True
        self._threads = [
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="pulse-http"),
            threading.Thread(target=self._ask_on, name="pulse-probes"),
        ]

    @property
    def port(self) -> int:
        """Return the port it answers on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer and to probe."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop answering."""
        self._over.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._server.server_close()

    def reasons(self, name: str) -> list[str]:
        """Return why a child was not ready when it was last asked."""
        return self._reasons.get(name, [])

    def page(self, path: str) -> tuple[int, str, str]:
        """Return status, content type and body of a page."""
        if path == "/health/live":
            return 200, JSON_TYPE, json.dumps({"status": "live"})
        if path == "/metrics":
            return 200, METRICS_TYPE, metrics(self._sights(), self.reasons)
        if path in ("/health/ready", "/status"):
            processes = [self._told(sight) for sight in self._sights()]
            late = [f"{each['name']}: {reason}" for each in processes for reason in each["reasons"]]
            if path == "/status":
                return 200, JSON_TYPE, json.dumps({"processes": processes})
            if not late:
                return 200, JSON_TYPE, json.dumps({"status": "ready"})
            return 503, JSON_TYPE, json.dumps({"code": "NOT_READY", "message": "; ".join(late), "reasons": late})
        return 404, JSON_TYPE, json.dumps({"code": "NOT_FOUND", "message": f"{path[:64]} is not a page"})

    def _told(self, sight: Sight) -> dict[str, Any]:
        reasons = ["it does not run"] if sight.pid is None else self.reasons(sight.name)
        return {"name": sight.name, "pid": sight.pid, "restarts": sight.restarts, "reasons": reasons}

    def _ask_on(self) -> None:
        while True:
            for name, probe in self._probes.items():
                self._reasons[name] = list(probe())
            if self._over.wait(PROBE_S):
                return


def metrics(sights: Sequence[Sight], reasons: Callable[[str], Sequence[str]]) -> str:
    """Return the metrics of the children in the Prometheus text format."""
    rows: list[tuple[str, Sequence[float]]] = []
    for sight in sights:
        ready = sight.pid is not None and not reasons(sight.name)
        rows.append((sight.name, (sight.pid is not None, ready, sight.restarts, *_use(sight.pid))))
    lines = []
    for place, (family, kind, text) in enumerate(_FAMILIES):
        lines += [f"# HELP {family} {text}", f"# TYPE {family} {kind}"]
        lines += [f'{family}{{process="{name}"}} {float(values[place])}' for name, values in rows]
    return "\n".join([*lines, ""])


def _use(pid: int | None) -> tuple[float, float]:
    """Return memory in bytes and processor time in seconds of a process and its family."""
    memory = seconds = 0.0
    try:
        leader = [] if pid is None else [psutil.Process(pid)]
        for process in [*leader, *(child for one in leader for child in one.children(recursive=True))]:
            times = process.cpu_times()
            memory, seconds = memory + process.memory_info().rss, seconds + times.user + times.system
    except psutil.Error:
        return memory, seconds
    return memory, seconds


def _handler(pulse: Pulse) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, text = pulse.page(self.path.partition("?")[0])
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 - its signature
            return

    return Handler
