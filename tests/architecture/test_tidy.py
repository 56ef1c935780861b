"""The tree keeps its sizes, bans and habits; and each checker finds what is planted for it."""

import tomllib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

from streaming.settings import Settings
from tests.architecture import tidiness
from tests.architecture.sources import ROOT, Module, planted, product, suite, tracked

# Modules whose promise is tested elsewhere, and where.
COVERED_BY = {
    "orchestration/__main__.py": "tests/orchestration/test_cli.py",
    "orchestration/commands/failure.py": "tests/orchestration/test_cli.py",
    "orchestration/commands/programs.py": "tests/orchestration/test_cli.py",
    "orchestration/commands/status.py": "tests/orchestration/test_cli.py",
}
BINARY = frozenset({".png", ".parquet", ".bin", ".gz", ".jar", ".onnx"})
# The lock file holds the addresses of the package index, which are its business.
NOT_READ = frozenset({"uv.lock"})

sources = cache(product)
suite_modules = cache(suite)
Check = Callable[[Iterable[Module]], Iterable[str]]


def clean(found: Iterable[str]) -> None:
    """Fail with one finding a line."""
    lines = sorted(found)
    assert not lines, "\n" + "\n".join(lines)


@pytest.mark.parametrize(
    "check",
    [
        tidiness.sizes,
        tidiness.names,
        tidiness.open_ends,
        tidiness.prints,
        tidiness.core_purity,
        tidiness.docstrings,
        tidiness.unconditional_skips,
    ],
)
def test_product_code_is_tidy(check: Check) -> None:
    clean(check(sources()))


@pytest.mark.parametrize("check", [tidiness.names, tidiness.open_ends, tidiness.unconditional_skips])
def test_tests_are_tidy(check: Check) -> None:
    mine = Path(tidiness.__file__).parent.relative_to(ROOT).as_posix()
    clean(check(m for m in suite_modules() if not m.path.startswith(mine)))


def test_tests_are_not_long() -> None:
    clean(tidiness.sizes(suite_modules(), tidiness.TEST_LINES))


def test_the_median_file_is_short() -> None:
    assert tidiness.middle(sources()) <= tidiness.MEDIAN_LINES


def test_no_file_is_dead() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    scripts = [*project["scripts"].values(), *project["entry-points"]["faust.transports"].values()]
    entry_points = {script.partition(":")[0] for script in scripts}
    started = {"streaming.worker", "orchestration.definitions", "orchestration.dagster_process"}
    clean(tidiness.dead(sources(), entry_points | started))


def test_every_module_has_its_test() -> None:
    test_paths = [module.path for module in suite_modules()]
    clean(tidiness.untested(sources(), test_paths, COVERED_BY))
    assert [path for path in COVERED_BY if not (ROOT / path).exists()] == []


def test_no_file_names_a_machine_or_a_foreign_host() -> None:
    mine = Path(__file__).relative_to(ROOT)
    found: list[str] = []
    for path in tracked():
        if path.suffix not in BINARY and path.name not in NOT_READ and path != mine:
            found += tidiness.foreign(path.as_posix(), (ROOT / path).read_text(errors="replace"))
    clean(found)


def test_the_root_is_tidy() -> None:
    clean(tidiness.root_entries(tracked()))


def test_figures_in_deploy_and_readme_are_the_defaults() -> None:
    defaults = Settings.model_construct()
    scraped = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
    assert all(f"127.0.0.1:{port}" in scraped for port in (defaults.http.port, defaults.up.port))
    assert f"127.0.0.1:{defaults.dagster.port}/asset-groups" in (ROOT / "README.md").read_text()


def test_the_default_profile_holds_the_defaults() -> None:
    shipped = tomllib.loads((ROOT / "trade.toml").read_text())
    defaults = Settings.model_construct().model_dump(mode="json")
    for key, value in shipped.items():
        if isinstance(value, dict):
            assert {name: defaults[key][name] for name in value} == value
        else:
            assert defaults[key] == value


@pytest.mark.parametrize(
    ("check", "text", "finding"),
    [
        (tidiness.sizes, "x = 1\n" * 401, "401 lines"),
        (tidiness.sizes, "def f():\n" + "    x = 1\n" * 70, "f has 71 lines"),
        (tidiness.open_ends, "# TODO: later", "finish it"),
        (tidiness.open_ends, "x = y  # type: ignore", "names its rule"),
        (tidiness.open_ends, "x = y  # type: ignore[attr-defined]", "names its rule"),
        (tidiness.open_ends, "x = y  # noqa", "names its rule"),
        (tidiness.open_ends, "def f():\n    raise NotImplementedError", "use a Protocol"),
        (tidiness.prints, "print(1)", "log it"),
        (tidiness.core_purity, "x = datetime.now(UTC)", "time comes with the message"),
        (tidiness.core_purity, "x = hash('a')", "differs from process to process"),
        (tidiness.core_purity, "x = np.random.default_rng()", "randomness"),
        (tidiness.core_purity, "x: float = 1", "integers, not float"),
        (tidiness.core_purity, "x = 0.5", "integers, not float"),
        (tidiness.docstrings, "x = 1", "what the module promises"),
        (tidiness.docstrings, '"""M."""\ndef f(): ...', "f has no docstring"),
        (tidiness.docstrings, '"""M."""\nclass C:\n    """C."""\n    def f(self): ...', "f has no docstring"),
        (tidiness.unconditional_skips, "@pytest.mark.skip(reason='no')\ndef test(): ...", "on a condition"),
    ],
)
def test_a_planted_breach_is_found(check: Check, text: str, finding: str) -> None:
    found = list(check(planted(trading__orders__a=text)))
    assert any(finding in line for line in found), found


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (tidiness.sizes, "def f():\n" + "    x = 1\n" * 69),
        (tidiness.open_ends, "x = y  # type: ignore[attr-defined]  # the stub lacks it"),
        (tidiness.open_ends, "x = y  # noqa: S311 - seeded on purpose"),
        (tidiness.core_purity, "x = 1 // 2"),
        (tidiness.docstrings, '"""M."""\ndef _f(): ...\nclass C:\n    """C."""\n    def __init__(self): ...'),
        (tidiness.unconditional_skips, "@pytest.mark.skipif(True, reason='no')\ndef test(): ..."),
    ],
)
def test_what_is_allowed_is_not_found(check: Check, text: str) -> None:
    assert list(check(planted(trading__orders__a=text))) == []


def test_names_after_nothing_and_code_in_packages_are_found() -> None:
    package = Module("trading.orders", "trading/orders/__init__.py", '"""Doc."""\nx = 1')
    found = list(tidiness.names([*planted(trading__utils=""), package]))
    assert len(found) == 2


def test_a_dead_file_is_found() -> None:
    modules = planted(trading__a="from trading.b import f", trading__b="", trading__c="import trading.c")
    assert [line.partition(":")[0] for line in tidiness.dead(modules, ["trading.a"])] == ["trading/c.py"]


def test_a_missing_test_is_found() -> None:
    modules = planted(trading__a="", trading__b="", trading__c="")
    found = list(tidiness.untested(modules, ["tests/trading/test_a.py", "tests/x.py"], {"trading/b.py": "tests/x.py"}))
    assert found == ["trading/c.py: tests/trading/test_c.py is missing"]


def test_machine_paths_and_foreign_hosts_are_found() -> None:
    slash = "/"
    text = f"{slash}home/me/x http:{slash}/127.0.0.1:3000/a https:{slash}/evil.net/b https:{slash}/a.invalid"
    found = list(tidiness.foreign("f", text))
    assert [line.split(": ")[1].split(" is ")[0] for line in found] == ["/home/me", "evil.net"]


def test_a_stray_root_entry_is_found() -> None:
    found = list(tidiness.root_entries([Path("STATUS.md"), Path("trading/ids.py"), Path(".gitignore")]))
    assert [line.partition(":")[0] for line in found] == ["STATUS.md"]


def test_the_median_leaves_packages_out() -> None:
    package = Module("a", "a/__init__.py", "")
    assert tidiness.middle([package, *planted(b="x = 1\n" * 10)]) == 10
