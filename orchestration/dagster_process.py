"""`python -m orchestration.dagster_process web|daemon ARGS`: one of Dagster's processes, on a storage that is whole.

On a new data folder both start at the same moment. Dagster makes its SQLite files without a lock, and the loser of that
race marks them in a way that no Dagster opens again; so the first process makes them here and the other one waits.
"""

import fcntl
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

LOCK = "storage.lock"
PROGRAMS = {"web": "dagster_webserver.cli", "daemon": "dagster._daemon.cli"}


def make_storage(folder: Path) -> None:
    """Create the storage of a Dagster home unless it is there; wait while another process does."""
    from dagster import DagsterInstance

    with (folder / LOCK).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        DagsterInstance.from_config(str(folder)).dispose()


def main(arguments: Sequence[str]) -> None:
    """Make the storage under DAGSTER_HOME, then be the program."""
    make_storage(Path(os.environ["DAGSTER_HOME"]))
    program = importlib.import_module(PROGRAMS[arguments[0]])
    sys.argv[1:] = arguments[1:]
    program.main()


if __name__ == "__main__":
    main(sys.argv[1:])
