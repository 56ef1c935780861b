"""Commands that become another program: this process is replaced, so signals and exit codes are the program's own."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestration.commands.configuration import config_file


def worker(roles: Sequence[str], config: Path | None) -> None:
    """Become a streaming worker with these roles."""
    path = config_file(config)
    chosen = ["--roles", ",".join(roles)] if roles else []
    _become("streaming.worker", [*chosen, "--config", str(path)] if path else chosen)


def bench(name: str, args: Sequence[str]) -> None:
    """Become the benchmark program `name`."""
    _become(f"streaming.bench.{name}", args)


def _become(module: str, args: Sequence[str]) -> None:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *args])  # noqa: S606 - no shell is wanted
