"""Seeded schedules. A step is a kind and some integers that the world reads modulo what it has: any part of one runs.

Swarm: each seed turns kinds of steps and faults on and off and draws their weights, so that seeds differ in what they
do much of, and not only in the order of one mix.
"""

import random
from typing import NamedTuple

ARGUMENTS = 8
SPAN = 1 << 30
KINDS = (
    *("submit", "again", "alike", "other_body", "broken", "cancel", "cancel_all", "replace"),
    *(
        "venue",
        "venue",
        "trade",
        "crossing",
        "venue_end",
        "deliver",
        "deliver",
        "lose",
        "duplicate",
        "old_report",
        "stranger",
    ),
    *("kill", "revive", "mode", "mode_back", "limits", "deposit", "open_account"),
    *("timer", "clock", "price", "price_gone", "model_gone", "prices_broken"),
    *("flush", "snapshot", "crash", "route_restart", "tamper", "reconcile"),
)
# A schedule without these does nothing at all.
ALWAYS = frozenset({"submit", "deliver", "venue", "price", "clock"})
RARE = frozenset(
    {
        *("kill", "mode", "model_gone", "prices_broken", "price_gone", "tamper", "open_account", "limits", "reconcile"),
        *("cancel_all", "route_restart"),
    }
)
# What stops all trade comes with what lets it go on.
UNDONE_BY = {"kill": "revive", "mode": "mode_back", "trade": "mode_back"}
FREQUENT = frozenset({"submit", "venue", "deliver", "trade", "replace"})
OFTEN = frozenset({"timer", "old_report"})
SELDOM = frozenset({"again", "other_body", "broken", "deposit", "stranger", "crash"})


class Step(NamedTuple):
    """One thing to do. What `n` means is up to the kind."""

    kind: str
    n: tuple[int, ...]


class Features(NamedTuple):
    """What holds for a whole schedule."""

    paper: bool = False
    tight: bool = False
    reorder: bool = True
    overfill: bool = True
    through_topic: bool = True
    group: int = 3
    accounts: int = 2
    ids: int = 12
    day_jumps: bool = False
    slow_market: bool = False
    throttled: bool = False
    no_shorts: bool = False


class Plan(NamedTuple):
    """A whole schedule."""

    seed: int
    features: Features
    steps: tuple[Step, ...]


def make_plan(seed: int, length: int) -> Plan:
    """Return the schedule of a seed."""
    rng = random.Random(seed)
    paper = rng.random() < 0.15
    features = Features(
        paper=paper,
        tight=rng.random() < 0.5,
        # A paper venue writes its reports to the topic in order, and knows of no line that fails.
        reorder=not paper and rng.random() < 0.6,
        overfill=rng.random() < 0.5,
        through_topic=rng.random() < 0.5,
        group=rng.choice((0, 0, 2, 6)),
        accounts=rng.choice((1, 2, 3)),
        ids=rng.choice((4, 12, 60)),
        day_jumps=rng.random() < 0.3,
        slow_market=rng.random() < 0.3,
        throttled=rng.random() < 0.15,
        no_shorts=rng.random() < 0.25,
    )
    kinds = [kind for kind in dict.fromkeys(KINDS) if kind in ALWAYS or rng.random() < 0.7]
    kinds += [undo for do, undo in UNDONE_BY.items() if do in kinds and undo not in kinds]
    weights = [rng.choice((1, 2, 4, 16)) * KINDS.count(kind) * _base(kind) for kind in kinds]
    drawn = rng.choices(kinds, weights, k=length)
    return Plan(
        seed, features, tuple(Step(kind, tuple(rng.randrange(SPAN) for _ in range(ARGUMENTS))) for kind in drawn)
    )


def _base(kind: str) -> float:
    if kind in FREQUENT:
        return 4.0
    if kind in SELDOM:
        return 0.5
    if kind in OFTEN:
        return 2.0
    return 0.15 if kind in RARE else 1.0
