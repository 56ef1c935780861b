"""Run as a program: appends offsets one by one and kills itself without warning at a named step of a write."""

import os
import signal
import sys
from pathlib import Path

from streaming.adapters.lake import Lake
from tests.streaming.adapters.lake_rows import put


def main(root: Path, step: str, occurrence: int, first: int) -> None:
    """Print each offset whose append returned; die at the given occurrence of `step`."""
    seen = 0

    def on_step(name: str) -> None:
        nonlocal seen
        seen += name == step
        if seen == occurrence:
            os.kill(os.getpid(), signal.SIGKILL)

    lake = Lake(root, checkpoint_every=2, on_step=on_step)
    for offset in range(first, first + 200):
        put(lake, offset)
        sys.stdout.write(f"{offset}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
