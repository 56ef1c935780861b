"""Which module may import what, as tables, and the checks over them. A finding shows the chain of imports."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.architecture.sources import PACKAGES, Module, within

# From the top down; a package imports only from lines below its own. A new package must be listed.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("orchestration",),
    ("streaming.bench",),
    ("streaming.worker",),
    ("streaming.platform", "streaming.flows"),
    ("streaming.api", "streaming.app", "streaming.gateway", "streaming.journal_sink", "streaming.strategy_ledger"),
    ("streaming.journal_mark", "streaming.journal_rows", "streaming.several"),
    ("streaming.owner",),
    ("streaming.guard",),
    ("streaming.lane", "streaming.supervise", "streaming.sink"),
    (
        "streaming.flow",
        "streaming.pace",
        "streaming.poison",
        "streaming.retries",
        "streaming.sink_rows",
        "streaming.status",
        "streaming.tail",
        "streaming.topics",
    ),
    ("streaming.adapters",),
    ("streaming.transport",),
    ("models",),
    ("feature_repo",),
    ("streaming.settings", "streaming.columns"),
    ("trading.backtest",),
    ("trading.strategies", "trading.strategy"),
    ("trading.routing", "trading.surveillance"),
    ("trading.orders",),
    ("trading.risk",),
    ("trading.accounting",),
    ("trading.market", "trading.features"),
    ("trading.events", "trading.schemas"),
    ("trading.messages", "trading.commands"),
    ("trading.codec", "trading.instruments"),
    ("trading.amounts", "trading.ids"),
)


@dataclass(frozen=True)
class Ban:
    """Modules within `who` (not `but`) must not import `what`; `reach` counts imports of imports too."""

    who: tuple[str, ...]
    what: tuple[str, ...]
    why: str
    but: tuple[str, ...] = ()
    reach: bool = False


@dataclass(frozen=True)
class Door:
    """A library that only the modules within `only` may import."""

    library: str
    only: tuple[str, ...]


IO = (
    *("asyncio", "threading", "socket", "os", "pathlib", "logging", "random", "uuid", "time"),
    *("io", "sys", "subprocess", "multiprocessing", "concurrent", "select", "selectors", "ssl", "http"),
    *("urllib", "secrets", "tempfile", "shutil", "glob", "signal", "queue", "sqlite3", "mmap"),
    *("fcntl"),
)
CORE_LIBRARIES = ("numpy", "pyarrow", "numba")
CORE_WITH_NUMPY = ("trading.market", "trading.features", "trading.backtest", "trading.risk.var")
WORKER_FREE_OF = ("pandas", "feast", "mlflow", "sklearn", "dagster")

BANS = (
    Ban(("trading",), IO, "the core is pure: no clock, no randomness, no input or output"),
    Ban(("trading",), CORE_LIBRARIES, "amounts are integers; arrays live in the market part", but=CORE_WITH_NUMPY),
    Ban(("trading",), ("streaming", "orchestration", "models", "feature_repo"), "imports point down to trading"),
    Ban(("streaming",), ("orchestration", "models", "feature_repo"), "the tick path knows no research code"),
    Ban(("streaming.adapters",), ("faust", "mode", "streaming.flows"), "adapters are doors, not flows"),
    Ban(("streaming",), WORKER_FREE_OF, "a worker starts fast and small", but=("streaming.bench",), reach=True),
    Ban(("orchestration",), ("faust", "mode"), "Dagster never loads Faust", reach=True),
    Ban(("models",), ("streaming", "orchestration"), "models know no process"),
    Ban(("models.train", "models.evaluate", "models.drift", "models.promote", "models.signing"), ("mlflow", "feast",
        "fastapi"), "the science is plain functions"),
    Ban(("models.api",), ("mlflow", "feast"), "serving goes through the predictor"),
    Ban(("feature_repo",), ("streaming", "models", "orchestration"), "the feature repository only names"),
    Ban(PACKAGES, ("tests",), "product code knows no tests"),
)  # fmt: skip

DOORS = (
    Door("faust", ("streaming.app", "streaming.guard", "streaming.worker", "streaming.transport")),
    Door("mode", ("streaming.app", "streaming.guard", "streaming.worker", "streaming.transport")),
    Door("aiokafka", ("streaming.transport",)),
    Door("deltalake", ("streaming.adapters.lake", "streaming.bench.sink")),
    Door("fastapi", ("streaming.api", "models.api")),
    Door("uvicorn", ("streaming.api", "models.api")),
    Door("dagster", ("orchestration",)),
    Door("typer", ("orchestration.cli", "orchestration.commands")),
    Door("rich", ("orchestration.commands",)),
    Door("matplotlib", ("orchestration",)),
    Door("prometheus_client", ("streaming.adapters.telemetry",)),
    Door("feast", ("feature_repo",)),
    Door("mlflow", ("models.registry",)),
    Door("ccxt", ("streaming.adapters",)),
)

# What orchestration may take from streaming.
ORCHESTRATION_SEES = ("streaming.settings", "streaming.adapters.lake")


def check(modules: Sequence[Module]) -> list[str]:
    """Return every breach of the tables above."""
    graph = {module.name: module for module in modules}
    found = [*_unlisted(modules), *_layers(graph), *_bans(graph), *_doors(modules), *_flows(graph)]
    return sorted({*found, *_orchestration(graph), *_cycles(graph), *_approved(modules)})


def layer_of(name: str, layers: Sequence[tuple[str, ...]] = LAYERS) -> int | None:
    """Return the height of a module's line, 0 the lowest, by its longest listed prefix."""
    found = [(len(entry), -row) for row, line in enumerate(layers) for entry in line if within(name, (entry,))]
    return len(layers) - 1 + max(found)[1] if found else None


def _ours(graph: Mapping[str, Module], module: Module, *, at_load: bool = False) -> Iterator[str]:
    """Yield the modules of ours that `module` imports."""
    names = module.imports_at_load if at_load else module.imports
    targets = {name if name in graph else name.rpartition(".")[0] for name in names}
    yield from sorted((targets & graph.keys()) - {module.name})


def _entry(name: str) -> str:
    """Return the listed prefix of a module."""
    entries = [entry for line in LAYERS for entry in line if within(name, (entry,))]
    return max(entries, key=len, default=name)


def _unlisted(modules: Iterable[Module]) -> Iterator[str]:
    for module in modules:
        if module.name not in PACKAGES and layer_of(module.name) is None:
            yield f"{module.path}: list it in LAYERS (tests/architecture/directions.py)"


def _layers(graph: Mapping[str, Module]) -> Iterator[str]:
    for module in graph.values():
        mine = layer_of(module.name)
        for target in _ours(graph, module):
            theirs = layer_of(target)
            if mine is None or theirs is None or _entry(module.name) == _entry(target):
                continue
            if theirs >= mine:
                yield f"{module.name} -> {target}: imports point down (LAYERS)"


def _bans(graph: Mapping[str, Module]) -> Iterator[str]:
    for ban in BANS:
        for module in graph.values():
            if not within(module.name, ban.who) or within(module.name, ban.but):
                continue
            chain = _chain(graph, module, ban)
            if chain:
                yield f"{' -> '.join(chain)}: {ban.why}"


def _chain(graph: Mapping[str, Module], start: Module, ban: Ban) -> list[str] | None:
    """Return the shortest chain from `start` to something banned."""
    seen, waiting = {start.name}, [[start.name]]
    while waiting:
        chain = waiting.pop(0)
        module = graph[chain[-1]]
        hit = next((name for name in sorted(module.imports) if within(name, ban.what)), None)
        if hit:
            return [*chain, hit]
        if ban.reach:
            for target in _ours(graph, module):
                if target not in seen:
                    seen.add(target)
                    waiting.append([*chain, target])
    return None


def _doors(modules: Iterable[Module]) -> Iterator[str]:
    for module in modules:
        for door in DOORS:
            hit = next((name for name in sorted(module.imports) if within(name, (door.library,))), None)
            if hit and not within(module.name, door.only):
                yield f"{module.name} -> {hit}: only {', '.join(door.only)} may import {door.library}"


def _flows(graph: Mapping[str, Module]) -> Iterator[str]:
    for module in graph.values():
        if within(module.name, ("streaming.flows",)):
            for target in _ours(graph, module):
                if target.startswith("streaming.flows."):
                    yield f"{module.name} -> {target}: flows meet only on topics"


def _orchestration(graph: Mapping[str, Module]) -> Iterator[str]:
    for module in graph.values():
        if within(module.name, ("orchestration",)):
            for target in _ours(graph, module):
                if within(target, ("streaming",)) and not within(target, ORCHESTRATION_SEES):
                    yield f"{module.name} -> {target}: of streaming, orchestration sees {', '.join(ORCHESTRATION_SEES)}"


def _cycles(graph: Mapping[str, Module]) -> Iterator[str]:
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> Iterator[str]:
        if name in path:
            yield " -> ".join([*path[path.index(name) :], name]) + ": a cycle"
        elif name not in done:
            for target in _ours(graph, graph[name], at_load=True):
                yield from visit(target, [*path, name])
            done.add(name)

    for name in graph:
        yield from visit(name, [])


def _approved(modules: Iterable[Module]) -> Iterator[str]:
    for module in modules:
        if module.name != "trading.risk.gate" and "Approved(" in module.text.replace("class Approved(", ""):
            yield f"{module.name}: only the risk gate constructs Approved"
