"""The simulator finds every planted defect within a bounded number of seeds, and takes each of them out again."""

import pytest

from tests.simulation.plan import make_plan
from tests.simulation.run import failures, run_plan
from tests.simulation.zoo import DEFECTS, planted

SEEDS = range(600)


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found(name: str) -> None:
    with planted(name):
        plan, failure = next(failures(SEEDS), (None, None))
    assert plan is not None, f"{name} was not found in {len(SEEDS)} seeds"
    assert failure is not None
    assert run_plan(make_plan(plan.seed, len(plan.steps))) is None, "the core fails without the defect too"


def test_the_zoo_is_large_enough() -> None:
    assert len(DEFECTS) >= 20
