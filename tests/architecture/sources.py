"""The source tree as data: modules with their syntax trees and what they import. Standard library only."""

import ast
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("trading", "streaming", "orchestration", "feature_repo", "models")


@dataclass(frozen=True)
class Module:
    """One Python file: dotted name, path relative to the root, text."""

    name: str
    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Return the syntax tree."""
        return ast.parse(self.text, self.path)

    @cached_property
    def lines(self) -> int:
        """Return the number of lines."""
        return len(self.text.splitlines())

    @property
    def is_package(self) -> bool:
        """Tell whether this is an `__init__.py`."""
        return self.path.endswith("__init__.py")

    @cached_property
    def imports(self) -> frozenset[str]:
        """Return every dotted name that is imported anywhere in the file, but for the type checker alone."""
        return frozenset(_imports(self, self.tree, everywhere=True))

    @cached_property
    def imports_at_load(self) -> frozenset[str]:
        """Return what is imported when the module is loaded."""
        return frozenset(_imports(self, self.tree, everywhere=False))


def planted(**texts: str) -> list[Module]:
    """Return modules from texts, for tests of the checkers; `a__b` names the module `a.b`."""
    return [Module(name.replace("__", "."), name.replace("__", "/") + ".py", text) for name, text in texts.items()]


def product() -> list[Module]:
    """Return every module of ours outside tests."""
    return list(_read(PACKAGES))


def suite() -> list[Module]:
    """Return every module of the tests."""
    return list(_read(("tests",)))


def tracked() -> list[Path]:
    """Return the files of the repository relative to its root: what git tracks or would track, else all files."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode == 0:
        paths = [Path(name) for name in done.stdout.decode().split("\0") if name]
    else:
        paths = [file.relative_to(ROOT) for file in ROOT.rglob("*") if not {".venv", ".tools", "var"} & set(file.parts)]
    return [path for path in paths if (ROOT / path).is_file()]


def within(name: str, prefixes: Iterable[str]) -> bool:
    """Tell whether the dotted name is one of the prefixes or lies inside one."""
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def _read(folders: Iterable[str]) -> Iterator[Module]:
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            relative = file.relative_to(ROOT)
            parts = list(relative.with_suffix("").parts)
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            yield Module(name, relative.as_posix(), file.read_text())


def _imports(module: Module, node: ast.AST, *, everywhere: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not everywhere:
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = _absolute(module, child)
            yield from (f"{base}.{alias.name}" for alias in child.names)
        yield from _imports(module, child, everywhere=everywhere)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    parts = parts[: len(parts) - node.level + (1 if module.is_package else 0)]
    return ".".join([*parts, *([node.module] if node.module else [])])
