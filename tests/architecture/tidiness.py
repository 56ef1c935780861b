"""Sizes, bans and habits as checks over modules and files. Each returns findings as `path: what is wrong`."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from tests.architecture.sources import Module, within

FILE_LINES = 400
TEST_LINES = 600
FUNCTION_LINES = 70
MEDIAN_LINES = 120
# Generated data, not written by hand: they have no reader, so they have no size.
GENERATED = ("trading.market.sessions_table",)
BAD_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "base", "misc", "stuff"})
PRINTS = ("streaming.bench",)
CLOCKS = frozenset({"now", "utcnow", "today"})
# Where money and risk are decided: integers only. trading.amounts is the door from float; VaR is statistics.
INTEGER_CORE = ("trading.orders", "trading.accounting", "trading.routing", "trading.risk.gate")
FLOAT_ALLOWED = ("trading.accounting.stress",)
OPEN_ENDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
BARE_IGNORE = re.compile(r"#\s*type:\s*ignore(?!\[[a-z-]+(,\s*[a-z-]+)*\]\s+#?\s*\S)")
BARE_NOQA = re.compile(r"#\s*noqa(?!:)", re.IGNORECASE)
# Loaded by name: the worker's roles, Dagster's folder of definitions, the programs of `trade bench`.
LOADED_BY_NAME = ("streaming.flows", "streaming.bench", "orchestration.defs")
HOSTS = frozenset(
    {
        *("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "example.com", "example.org"),
        *("pypi.org", "files.pythonhosted.org", "github.com", "maven.apache.org", "www.w3.org"),
    }
)
URL = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9a-f:]+\])")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|Users|work|mnt)/\w+")
ROOT_ENTRIES = frozenset(
    {
        *("orchestration", "streaming", "trading", "feature_repo", "models", "tests", "deploy"),
        *("pyproject.toml", "uv.lock", "Makefile", "README.md", "trade.toml", "LICENSE"),
    }
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sizes(modules: Iterable[Module], limit: int = FILE_LINES) -> Iterator[str]:
    """Find long files and long functions."""
    for module in modules:
        if module.name in GENERATED:
            continue
        if module.lines > limit:
            yield f"{module.path}: {module.lines} lines, at most {limit}: split it by meaning"
        for node in ast.walk(module.tree):
            if isinstance(node, Function):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    yield f"{module.path}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}"


def middle(modules: Iterable[Module]) -> float:
    """Return the median length of the files that hold code."""
    return median(module.lines for module in modules if not module.is_package)


def names(modules: Iterable[Module]) -> Iterator[str]:
    """Find files that are named after nothing, and packages that hold code in `__init__`."""
    for module in modules:
        if Path(module.path).stem in BAD_NAMES:
            yield f"{module.path}: name it after what it holds"
        if module.is_package and len(module.tree.body) > 1:
            yield f"{module.path}: a package's __init__ holds a docstring only"


def open_ends(modules: Iterable[Module]) -> Iterator[str]:
    """Find what was left for later, and silenced checkers without a rule."""
    for module in modules:
        for number, line in enumerate(module.text.splitlines(), 1):
            where = f"{module.path}:{number}"
            if OPEN_ENDS.search(line):
                yield f"{where}: finish it, or open an issue"
            if BARE_IGNORE.search(line):
                yield f"{where}: a type ignore names its rule and its reason"
            if BARE_NOQA.search(line):
                yield f"{where}: a noqa names its rule"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Name) and node.id == "NotImplementedError":
                yield f"{module.path}:{node.lineno}: write it, or use a Protocol"


def prints(modules: Iterable[Module]) -> Iterator[str]:
    """Find print in product code; benchmark programs may print."""
    for module in modules:
        for call in _calls(module):
            if ast.unparse(call.func) == "print" and not within(module.name, PRINTS):
                yield f"{module.path}:{call.lineno}: log it, or use typer.echo in a command"


def unconditional_skips(modules: Iterable[Module]) -> Iterator[str]:
    """Find tests that never run."""
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in {"pytest.mark.skip", "unittest.skip"}:
                yield f"{module.path}:{node.lineno}: skip on a condition, with a reason"


def core_purity(modules: Iterable[Module]) -> Iterator[str]:
    """Find clocks, salted hashes and float amounts in the trading core."""
    for module in modules:
        if not within(module.name, ("trading",)):
            continue
        for call in _calls(module):
            if isinstance(call.func, ast.Attribute) and call.func.attr in CLOCKS:
                yield f"{module.path}:{call.lineno}: {ast.unparse(call.func)}: time comes with the message"
            if ast.unparse(call.func) == "hash":
                yield f"{module.path}:{call.lineno}: hash() differs from process to process"
            if ast.unparse(call.func).startswith(("np.random.", "numpy.random.")):
                yield f"{module.path}:{call.lineno}: randomness comes with the message"
        if within(module.name, INTEGER_CORE) and not within(module.name, FLOAT_ALLOWED):
            yield from _floats(module)


def _floats(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
        named = isinstance(node, ast.Name) and node.id == "float"
        if isinstance(node, ast.Constant | ast.Name) and (literal or named):
            yield f"{module.path}:{node.lineno}: amounts are integers, not float"


def docstrings(modules: Iterable[Module]) -> Iterator[str]:
    """Find modules, public classes and public functions that do not say what they promise."""
    for module in modules:
        if not ast.get_docstring(module.tree):
            yield f"{module.path}: open with what the module promises"
        yield from _undocumented(module, module.tree)


def _undocumented(module: Module, scope: ast.Module | ast.ClassDef) -> Iterator[str]:
    for node in scope.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
        if not ast.get_docstring(node) and not any(d in {"overload", "typing.overload"} for d in decorators):
            yield f"{module.path}:{node.lineno}: {node.name} has no docstring"
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(module, node)


def dead(modules: Sequence[Module], entry_points: Iterable[str]) -> Iterator[str]:
    """Find modules that nothing imports and nobody starts."""
    used = set(entry_points)
    for module in modules:
        used |= {name for imported in module.imports if imported != module.name for name in _and_parents(imported)}
    for module in modules:
        by_name = within(module.name, LOADED_BY_NAME) or module.name.endswith("__main__")
        if not (module.is_package or by_name or module.name in used):
            yield f"{module.path}: nothing imports it and nothing starts it"


def _and_parents(name: str) -> Iterator[str]:
    """Yield `a.b.c` and `a.b`: the last part may be a name inside a module."""
    yield name
    yield name.rpartition(".")[0]


def untested(modules: Iterable[Module], test_paths: Iterable[str], covered_by: Mapping[str, str]) -> Iterator[str]:
    """Find modules without the test file that mirrors them (or that `covered_by` names instead)."""
    present = set(test_paths)
    for module in modules:
        source = Path(module.path)
        wanted = covered_by.get(module.path) or (Path("tests") / source.parent / f"test_{source.name}").as_posix()
        if not module.is_package and module.name not in GENERATED and wanted not in present:
            yield f"{module.path}: {wanted} is missing"


def foreign(path: str, text: str) -> Iterator[str]:
    """Find machine paths and hosts that are not ours in the text of a file."""
    for number, line in enumerate(text.splitlines(), 1):
        for match in MACHINE_PATH.findall(line):
            yield f"{path}:{number}: {match} is a path of one machine"
        for host in URL.findall(line):
            inner = "." not in host or host.endswith((".invalid", ".test", ".example"))
            if not inner and host.rstrip(".").lower() not in HOSTS:
                yield f"{path}:{number}: {host} is a foreign host"


def root_entries(paths: Iterable[Path]) -> Iterator[str]:
    """Find what does not belong at the root."""
    for entry in sorted({path.parts[0] for path in paths}):
        if entry not in ROOT_ENTRIES and not entry.startswith("."):
            yield f"{entry}: the root holds only {', '.join(sorted(ROOT_ENTRIES))} and dot-files"


def _calls(module: Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))
