"""`python -m orchestration.dagster_process web|daemon ARGS`: one of Dagster's processes, on a storage that is whole.

On a new data folder both start at the same moment. Dagster makes its SQLite files without a lock, and the loser of that
race marks them in a way that no Dagster opens again; so the first process makes them here and the other one waits.

A webserver whose code server has died (of memory, or because both stood still for 45 s) goes on to show pages but
starts no run, until somebody reloads it by hand. Here it ends instead, and is started again as a whole; the daemon
helps itself.
"""

import fcntl
import importlib
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

LOCK = "storage.lock"
WEB = "web"
PROGRAMS = {WEB: "dagster_webserver.cli", "daemon": "dagster._daemon.cli"}
LOOK_S = 5.0
# A reload puts a new code server in the place of the old one.
LOOKS = 2


def make_storage(folder: Path) -> None:
    """Create the storage of a Dagster home unless it is there; wait while another process does."""
    from dagster import DagsterInstance

    with (folder / LOCK).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        DagsterInstance.from_config(str(folder)).dispose()


def wait_for_the_end(has_code_server: Callable[[], bool], rest: Callable[[], object]) -> None:
    """Return when there was a code server and is none at several looks in a row."""
    missed: int | None = None
    while missed is None or missed < LOOKS:
        if has_code_server():
            missed = 0
        elif missed is not None:
            missed += 1
        rest()


def _has_code_server() -> bool:
    for child in psutil.Process().children():
        try:
            if child.status() != psutil.STATUS_ZOMBIE and "grpc" in child.cmdline():
                return True
        except psutil.NoSuchProcess:
            continue
    return False


def _end_without_code_server() -> None:
    wait_for_the_end(_has_code_server, lambda: time.sleep(LOOK_S))
    sys.stderr.write('{"level": "error", "code": "CODE_SERVER_GONE", "message": "the code server has died"}\n')
    sys.stderr.flush()
    os._exit(1)


def main(arguments: Sequence[str]) -> None:
    """Make the storage under DAGSTER_HOME, then be the program."""
    make_storage(Path(os.environ["DAGSTER_HOME"]))
    program = importlib.import_module(PROGRAMS[arguments[0]])
    sys.argv[1:] = arguments[1:]
    if arguments[0] == WEB:
        threading.Thread(target=_end_without_code_server, name="code-server-watch", daemon=True).start()
    program.main()


if __name__ == "__main__":
    main(sys.argv[1:])
