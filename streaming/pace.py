"""Work that is done now and then beside the orders: how long it rests, and that partitions do not begin it together."""

import time

# So long a thread sleeps to let go of the interpreter. One that only computes has it for 5 ms each time that the event
# loop has let go of it, be it for a write.
BREATH_S = 0.0005
# Partitions of a process begin in this many steps of half a period.
STEPS = 4


def rest_s(took_s: float, share: float) -> float:
    """Return how long work that took `took_s` rests to have `share` of the time."""
    return took_s * (1 / share - 1)


def breathe() -> None:
    """Let the event loop go on, in a thread that computes beside it; about each millisecond."""
    time.sleep(BREATH_S)


def head_start(partition: int, step: float = 0.0) -> float:
    """Return the share of a period, below a half, by which the first turn of a partition is early.

    `step` below 1 keeps two kinds of work of one partition apart.
    """
    return (partition % STEPS + step) / (2 * STEPS)
