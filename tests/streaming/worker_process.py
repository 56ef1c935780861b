"""A worker as a real process with the probe flow, for tests."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.streaming.poll import until_sync

ROOT = Path(__file__).parents[2]
PROBE = "tests.streaming.probe_flow:"
END_S = 60.0


class WorkerProcess:
    """Starts at once in `home` on a free port, with the probe source and flow unless other arguments are given."""

    def __init__(self, home: Path, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        flows = ("--flow", f"{PROBE}SOURCE", "--flow", f"{PROBE}FLOW")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TRADE_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streaming.worker", *(arguments or flows)],
            cwd=home,
            env=clean | {"PYTHONPATH": str(ROOT), "TRADE_HOME": str(home), "TRADE_HTTP__PORT": "0"} | dict(env or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def __enter__(self) -> "WorkerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def status(self) -> dict[str, Any]:
        """Return the status file if this process wrote it, else an empty page."""
        path = self.home / "status" / "streaming.json"
        page: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return page if page.get("pid") == self.pid else {}

    def until_ready(self) -> None:
        """Wait until the process says that it is ready."""
        until_sync(lambda: self.status().get("state") == "ready" or self._process.poll() is not None)
        assert self._process.poll() is None, self.end()

    def get(self, path: str) -> tuple[int, Any]:
        """Return status code and JSON body of a page."""
        address = self.status()["http"]
        try:
            with urllib.request.urlopen(f"http://{address['host']}:{address['port']}{path}", timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()
        self._process.wait()

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was written to stderr."""
        _, errors = self._process.communicate(timeout=END_S)
        return self._process.returncode, errors


def lines(home: Path) -> list[str]:
    """Return what the probe flow has committed."""
    path = home / "probe-0.txt"
    return path.read_text().splitlines() if path.exists() else []


def give(home: Path, *values: str) -> None:
    """Write the input of the probe source."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "input.txt").write_text("".join(f"{value}\n" for value in values))
