"""The simulator finds every planted defect within a bounded number of seeds, and takes each of them out again."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.simulation import invariants
from tests.simulation.plan import Plan, make_plan
from tests.simulation.run import Failure, failures, run_plan
from tests.simulation.zoo import DEFECTS, planted

SEEDS = range(600)


@cache
def found(name: str) -> tuple[Plan, Failure]:
    """Return the first schedule that finds a defect."""
    with planted(name):
        first = next(failures(SEEDS), None)
    assert first is not None, f"{name} was not found in {len(SEEDS)} seeds"
    return first


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found(name: str) -> None:
    plan, _ = found(name)
    assert run_plan(make_plan(plan.seed, len(plan.steps))) is None, "the core fails without the defect too"


def test_each_invariant_finds_a_defect_of_its_own() -> None:
    named = set(re.findall(r'require\(\s*"(\w+)"', Path(invariants.__file__).read_text()))
    finders = {found(name)[1].name for name in DEFECTS}
    assert not named - finders


def test_the_zoo_is_large_enough() -> None:
    assert len(DEFECTS) >= 40
