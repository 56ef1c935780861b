"""Seeded schedules over the real core: no invariant breaks, and what breaks is found, repeated and made small."""

from typing import get_args

import pytest

from tests.simulation.plan import KINDS, make_plan
from tests.simulation.run import STEPS, Checker, failures, main, report, run_plan, shrink
from tests.simulation.world import Moment
from tests.simulation.zoo import planted
from trading.commands import AnyCommand
from trading.events import AnyEvent
from trading.orders.transitions import STATUSES

RULE_CODES = frozenset(
    {
        *("KILL_SWITCH", "TRADING_HALTED", "REDUCE_ONLY", "INSTRUMENT_NOT_TRADABLE", "CURRENCY_MISMATCH"),
        *("PRICE_NOT_MULTIPLE_OF_TICK", "MAX_ORDER_QTY", "MAX_ORDER_VALUE", "PRICE_COLLAR", "MAX_POSITION"),
        *("CONCENTRATION", "BUYING_POWER", "SHORT_RESTRICTED", "VAR_PARAMETRIC", "VAR_HISTORICAL", "MESSAGE_RATE"),
        *("REPEATED_ORDER", "SELF_TRADE", "MAX_OPEN_ORDERS", "PRICE_MISSING", "PRICE_STALE", "RISK_FAILED"),
        *("RISK_PARAMETERS_MISSING",),
    }
)
SEEDS = range(2_000)
SOAK_SEEDS = range(100_000, 160_000)


@pytest.mark.soak
def test_no_invariant_breaks_for_long() -> None:
    found = next(failures(SOAK_SEEDS), None)
    assert found is None, "\n" + report(*found)


def test_a_seed_is_a_schedule() -> None:
    assert make_plan(7, 50) == make_plan(7, 50)
    assert make_plan(7, 50) != make_plan(8, 50)
    drawn = {step.kind for seed in range(60) for step in make_plan(seed, 100).steps}
    assert drawn == set(KINDS)


class Witness(Checker):
    """Notes what the schedules reach."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def decided(self, moment: Moment) -> None:
        super().decided(moment)
        self.seen.add(type(moment.command).__name__)
        for event in moment.events:
            self.seen.add(type(event).__name__)
            self.seen |= {getattr(event, "to", ""), getattr(event, "code", "")}
            self.seen |= {breach.code for breach in getattr(event, "breaches", ())}


def test_no_invariant_breaks_and_the_schedules_reach_every_command_state_and_rule() -> None:
    seen: set[str] = set()
    for seed in SEEDS:
        plan, witness = make_plan(seed, STEPS), Witness()
        failure = run_plan(plan, witness)
        assert failure is None, "\n" + report(plan, failure)
        seen |= witness.seen
    commands = {type_.__name__ for type_ in get_args(AnyCommand)}
    events = {type_.__name__ for type_ in get_args(AnyEvent)}
    assert commands <= seen
    assert events <= seen
    assert set(STATUSES) - seen == {"pending_new"}, "the state of a new order is in no event"
    assert not RULE_CODES - seen
    assert not {"OVERFILL", "LATE_FILL", "FILL_CONFLICT", "FILL_MISMATCH", "ORDER_UNKNOWN", "ID_REUSED"} - seen


def test_a_failure_repeats_and_shrinks() -> None:
    with planted("fee_ignored"):
        plan, failure = next(failures(range(200)))
        assert run_plan(plan) == failure
        small, same = shrink(plan, failure)
    assert same.name == failure.name
    assert len(small.steps) < 12
    assert run_plan(small) is None


def test_the_program_reports_and_leaves_with_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "0:3", "--steps", "20"]) == 0
    assert "3 seeds, 0 failed" in capsys.readouterr().out
    with planted("kill_ignored_for_strategies"):
        assert main(["--seeds", "0:30"]) == 1
    assert "shrunk to" in capsys.readouterr().out
