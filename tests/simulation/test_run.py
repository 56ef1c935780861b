"""Seeded schedules over the real core: no invariant breaks, and what breaks is found, repeated and made small."""

import pytest

from tests.simulation.plan import KINDS, make_plan
from tests.simulation.run import failures, main, report, run_plan, shrink
from tests.simulation.zoo import planted

SEEDS = range(700)
SOAK_SEEDS = range(100_000, 200_000)


def test_no_invariant_breaks() -> None:
    found = next(failures(SEEDS), None)
    assert found is None, "\n" + report(*found)


@pytest.mark.soak
def test_no_invariant_breaks_for_long() -> None:
    found = next(failures(SOAK_SEEDS), None)
    assert found is None, "\n" + report(*found)


def test_a_seed_is_a_schedule() -> None:
    assert make_plan(7, 50) == make_plan(7, 50)
    assert make_plan(7, 50) != make_plan(8, 50)
    drawn = {step.kind for seed in range(60) for step in make_plan(seed, 100).steps}
    assert drawn == set(KINDS)


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
