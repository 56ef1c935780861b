"""Runs seeds over the core, prints the first failing one, and shrinks its schedule.

`python -m tests.simulation.run --seeds A:B [--steps N]`; leaves with 1 if a seed fails.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from tests.simulation import invariants as inv
from tests.simulation.actions import Actor
from tests.simulation.plan import Plan, Step, make_plan
from tests.simulation.settle import settle
from tests.simulation.world import Moment, ViolationError, World
from trading import commands as c
from trading.orders.state import State
from trading.routing.plan import VenueRequest

_encode = msgspec.json.Encoder().encode
STEPS = 150
SHRINK_RUNS = 600
DECISION_CHECKS: tuple[Callable[[Moment], None], ...] = (
    inv.i1_i2_i8_fills,
    inv.i7_idempotent,
    inv.i9_i10_i14_to_i18_gate,
    inv.i6_moves,
    inv.i13_requests,
    inv.i14_cancels_pass,
    inv.i24_codes,
    inv.i25_audit,
    inv.timer_takes_only_what_is_due,
    inv.i11_journal,
)
STATE_CHECKS: tuple[Callable[[World, State], None], ...] = (
    inv.i2_i6_orders,
    inv.i3_i4_i5_money,
    inv.i9_exposure,
    inv.i15_budget,
    inv.i14_controls,
    inv.exactly_once,
)


class Checker:
    """Checks every invariant after every decision, every recovery and every request that leaves.

    Each `every`th command is also decided on a state that was read back.
    """

    def __init__(self, *, every: int = 8) -> None:
        self.every = every
        self.requests: dict[str, str] = {}
        self.decisions = 0

    def deciding(self, world: World, command: c.AnyCommand) -> None:
        """Let a state that was read back decide too, now and then."""
        self.decisions += 1
        if self.decisions % self.every == 0:
            inv.i12_decides_alike(world, command)

    def decided(self, moment: Moment) -> None:
        """Check a decision."""
        for check in DECISION_CHECKS:
            check(moment)

    def settled(self, world: World, moment: Moment) -> None:
        """Check the state after a decision."""
        self.state(world)
        inv.overfill_halts(world, moment)
        inv.kill_reaches_everything(world, moment)

    def recovered(self, world: World, before: State | None) -> None:
        """Check a state that was read back."""
        inv.i12_replay(world, before)
        inv.i11_nothing_lost(world)
        self.state(world)

    def remembered(self, world: World) -> None:
        """Check that what was sent is still known."""
        for order in self.requests:
            inv.require("i13_requests", order in world.ledger.orders, f"{order} was sent and is not in the journal")

    def state(self, world: World) -> None:
        """Check the state as it is."""
        for check in STATE_CHECKS:
            check(world, world.state)

    def sent(self, world: World, request: VenueRequest, *, killed: bool) -> None:
        """Check a request that leaves the gateway."""
        inv.i14_i19_sent(world, request, killed=killed, sent=self.requests)


class Failure(NamedTuple):
    """What went wrong, after how many steps, and the story up to there."""

    name: str
    message: str
    step: int
    story: tuple[str, ...]


def run_plan(plan: Plan, checker: Checker | None = None) -> Failure | None:
    """Run one schedule; return the first violation."""
    checker = checker or Checker()
    world = World(plan.features, checker)
    actor = Actor(world)
    done = 0
    try:
        actor.open_accounts()
        for done, step in enumerate(plan.steps, 1):  # noqa: B007 - the place of a failure
            actor.run(step)
        _finish(world, checker)
    except ViolationError as error:
        return Failure(error.name, str(error), done, tell(world))
    except Exception as error:  # noqa: BLE001 - the core must not raise, whatever comes in
        return Failure("no_crash", f"no_crash: {type(error).__name__}: {error}", done, tell(world))
    return None


def _finish(world: World, checker: Checker) -> None:
    world.flush()
    if world.paper is None:
        settle(world)
    world.crash(len(world.queued), 0)
    checker.remembered(world)


def tell(world: World) -> tuple[str, ...]:
    """Return what happened, a line each."""
    lines = []
    for entry in world.story:
        if isinstance(entry, str):
            lines.append(entry)
        else:
            cause, command, events = entry
            followed = b" ".join(map(_encode, events)).decode() or "nothing"
            lines.append(f"{cause}: {_encode(command).decode()}\n    => {followed}")
    return tuple(lines)


def failures(seeds: range, steps: int = STEPS) -> Iterator[tuple[Plan, Failure]]:
    """Yield every seed that fails."""
    for seed in seeds:
        plan = make_plan(seed, steps)
        failure = run_plan(plan)
        if failure is not None:
            yield plan, failure


def shrink(plan: Plan, failure: Failure, budget: int = SHRINK_RUNS) -> tuple[Plan, Failure]:
    """Drop steps while the same invariant still fails: halves first, then less, down to single ones."""
    steps = list(plan.steps[: failure.step])
    size = max(1, len(steps) // 2)
    while budget > 0:
        dropped = False
        at = 0
        while at < len(steps) and budget > 0:
            shorter = steps[:at] + steps[at + size :]
            budget -= 1
            found = _same(plan, shorter, failure.name)
            if found is None:
                at += size
            else:
                steps, failure, dropped = shorter[: found.step or None], found, True
        if size == 1 and not dropped:
            break
        size = max(1, size // 2)
    return plan._replace(steps=tuple(steps)), failure


def _same(plan: Plan, steps: Sequence[Step], name: str) -> Failure | None:
    found = run_plan(plan._replace(steps=tuple(steps)), Checker(every=1))
    return found if found is not None and found.name == name else None


def report(plan: Plan, failure: Failure) -> str:
    """Return everything needed to see and repeat a failure."""
    small, last = shrink(plan, failure)
    kinds = " ".join(step.kind for step in small.steps)
    story = "\n  ".join(last.story)
    return (
        f"seed {plan.seed}: {failure.message}\nafter {failure.step} steps; {plan.features}\n"
        f"shrunk to {len(small.steps)} steps: {kinds}\n  {story}\n{last.message}\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a range of seeds."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run", description=__doc__)
    parser.add_argument("--seeds", default="0:100", help="A:B, from A up to B - 1")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of each schedule")
    options = parser.parse_args(arguments)
    first, _, end = options.seeds.partition(":")
    seeds = range(int(first), int(end))
    started = time.perf_counter()
    bad = 0
    for plan, failure in failures(seeds, options.steps):
        bad += 1
        sys.stdout.write(report(plan, failure))
        sys.stdout.flush()
    took_s = time.perf_counter() - started
    rate = len(seeds) * options.steps / took_s
    sys.stdout.write(f"{len(seeds)} seeds, {bad} failed, {took_s:.1f} s, {rate:.0f} steps/s\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
