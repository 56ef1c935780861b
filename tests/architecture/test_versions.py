"""What is installed is what was tried together: the bounds of pyproject.toml, and the release lines below."""

import sys
import tomllib
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.architecture.sources import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
DEVELOPMENT = [Requirement(text) for text in PROJECT["dependency-groups"]["dev"]]
# Libraries whose next minor release has broken something for us or for others; the line that was tried.
LINES = {
    "dagster": "1.13",
    "dagster-webserver": "1.13",
    "faust-streaming": "0.15",
    "aiokafka": "0.14",
    "mode-streaming": "0.7",
    "msgspec": "0.22",
    "numba": "0.68",
    "deltalake": "1",
    "duckdb": "2",
    "pyarrow": "25",
}


def in_line(installed: str, line: str) -> bool:
    """Tell whether a version belongs to a release line such as 1.13."""
    wanted = Version(line).release
    return Version(installed).release[: len(wanted)] == wanted


def test_python_is_one_we_support() -> None:
    bounds = SpecifierSet(PROJECT["project"]["requires-python"])
    assert Version(".".join(map(str, sys.version_info[:3]))) in bounds


@pytest.mark.parametrize("requirement", RUNTIME + DEVELOPMENT, ids=lambda r: r.name)
def test_the_installed_version_is_within_its_bounds(requirement: Requirement) -> None:
    assert Version(version(requirement.name)) in requirement.specifier


@pytest.mark.parametrize("requirement", RUNTIME + DEVELOPMENT, ids=lambda r: r.name)
def test_every_direct_dependency_has_a_lower_bound(requirement: Requirement) -> None:
    assert any(bound.operator in {">=", "==", "~="} for bound in requirement.specifier)


@pytest.mark.parametrize("name", LINES)
def test_the_release_line_is_the_one_that_was_tried(name: str) -> None:
    assert in_line(version(name), LINES[name])


def test_a_wrong_line_is_seen() -> None:
    assert in_line("1.13.27", "1.13")
    assert not in_line("1.14.0", "1.13")
    assert not in_line("1.130.0", "1.13")
