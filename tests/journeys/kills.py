"""Kill -9 of the streaming process at random moments, again and again in one home, until the feed is through."""

import random
import time
from pathlib import Path

from tests.streaming.worker_process import WorkerProcess

SEED = 20_131_007
# Replays the day in about ten seconds, so that there is something to kill.
SPEED = 5_000
BATCH_ROWS = "500"
START_S = 2.0
RUN_S = 1.5


def sweep(
    home: Path, file: Path, kills: int, *, speed: int = SPEED, run_s: float = RUN_S, broker: str = "log://"
) -> list[float]:
    """Kill `kills` times, then let the feed end; return the seconds from start to ready of each start that got there.

    Two of three kills strike while it runs, the others while it starts.
    """
    rng = random.Random(SEED)
    ready_s: list[float] = []
    arguments = ("--until-drained", "--feed", f"replay:{file}?speed={speed}")
    env = {
        "TRADE_FEED__BATCH_ROWS": BATCH_ROWS,
        "TRADE_SINK__MAX_SECONDS": "0.5",
        "TRADE_MARKET__SNAPSHOT_SECONDS": "0.3",
        "TRADE_BROKER": broker,
    }
    for _ in range(kills):
        with WorkerProcess(home, *arguments, env=env) as worker:
            if rng.random() < 1 / 3:
                _hold(rng.uniform(0.2, START_S))
            else:
                started = time.monotonic()
                worker.until_ready()
                ready_s.append(time.monotonic() - started)
                _hold(rng.uniform(0.0, run_s))
            worker.kill()
    with WorkerProcess(home, *arguments, env=env) as worker:
        code, errors = worker.end()
    assert code == 0, f"seed {SEED}: {errors}"
    return ready_s


def undisturbed(home: Path, file: Path, *, speed: int = SPEED, broker: str = "log://") -> None:
    """Replay the same feed without a kill."""
    sweep(home, file, 0, speed=speed, broker=broker)


def _hold(seconds: float) -> None:
    """Let the process work: the moment of the kill is what is drawn, so there is nothing to wait for."""
    time.sleep(seconds)
