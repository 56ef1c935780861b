"""The status of a whole platform: the pages of its processes as one, and where they answer while `trade up` runs."""

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestration.commands import page as pages
from orchestration.commands.page import STARTING, Page

RUNNING_FILE = "up.json"
# The worst first: a platform is as well as the process that is worst off.
_STATES = ("failed", STARTING, "draining", "quiet", "stopped", "ready")
# A process that is killed leaves the page of when it got ready.
_ENDED = ("failed", "stopped")
# What a process says of itself alone.
_OWN = ("pid", "roles", "state", "started_ts", "http")

Address = tuple[str, int]


def fetch(addresses: Sequence[Address], within_s: float = pages.FETCH_TIMEOUT_S) -> Page | None:
    """Return one page of all processes, or None if none answers; while one is silent the platform is starting."""
    found = [page for host, port in addresses if (page := pages.fetch(host, port, within_s)) is not None]
    whole = together(found)
    if whole is None or len(found) == len(addresses):
        return whole
    return Page(whole.raw | {"state": min(whole.state, STARTING, key=_rank)})


def last(home: Path, pids: Collection[int | None] | None = None) -> Page | None:
    """Return what the processes left when they stopped, as one page, or None.

    With `pids`, only if each of them left its last page. Else of two pages with a role in common the newer one counts.
    """
    found = [page for file in sorted((home / "status").glob("*.json")) if (page := pages.read(file)) is not None]
    if pids is not None:
        found = [page for page in found if page.raw.get("pid") in pids and page.state in _ENDED]
        return together(found) if len(found) == len(pids) else None
    kept: list[Page] = []
    for page in sorted(found, key=_written, reverse=True):
        if not any(_roles(page) & _roles(newer) for newer in kept):
            kept.append(page)
    return together(kept)


def together(found: Sequence[Page]) -> Page | None:
    """Return the pages of processes with roles of their own as one page; offsets of topics are those of the newest."""
    if len(found) < 2:
        return next(iter(found), None)
    raws = [page.raw for page in sorted(found, key=_written)]
    whole = {name: value for raw in raws for name, value in raw.items() if name not in _OWN}
    for name in ("groups", "flows"):
        whole[name] = {key: value for raw in raws for key, value in (raw.get(name) or {}).items()}
    for name in ("feed", "error"):
        whole[name] = next((raw[name] for raw in raws if raw.get(name)), None)
    whole["roles"] = [role for raw in raws for role in raw.get("roles", ())]
    whole["processes"] = [{name: raw.get(name) for name in _OWN} for raw in raws]
    whole["state"] = min((page.state for page in found), key=_rank)
    whole["ticks_per_s"] = sum(float(raw.get("ticks_per_s") or 0) for raw in raws)
    whole["last_tick_ts_ns"] = max(int(raw.get("last_tick_ts_ns") or 0) for raw in raws) or None
    return Page(whole)


def is_of(home: Path, page: Page) -> bool:
    """Tell whether a page is from a process of this data folder, which leaves a page there when it gets ready."""
    left = (pages.read(file) for file in (home / "status").glob("*.json"))
    return any(each is not None and each.raw.get("pid") == page.raw.get("pid") for each in left)


def running(home: Path) -> list[Address]:
    """Return where the processes of a running `trade up` answer, that of the order API first; empty if none runs."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        entry = json.loads((home / RUNNING_FILE).read_text())
        return [(str(each["host"]), int(each["port"])) for each in (entry, *entry.get("beside", ()))]
    return []


def supervisor(home: Path) -> Address | None:
    """Return where a running `trade up` itself answers, or None."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        parts = urlsplit(json.loads((home / RUNNING_FILE).read_text())["pages"]["up"])
        return str(parts.hostname), int(parts.port or 80)
    return None


@contextlib.contextmanager
def announced(home: Path, addresses: Sequence[Address], links: Mapping[str, str]) -> Iterator[None]:
    """Tell other commands where the processes answer, while the block runs."""
    first, *beside = [{"host": host, "port": port} for host, port in addresses]
    file = home / RUNNING_FILE
    entry: dict[str, Any] = {**first, "beside": beside, "pages": dict(links)}
    file.write_text(json.dumps(entry))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _rank(state: str) -> int:
    return _STATES.index(state) if state in _STATES else 0


def _written(page: Page) -> str:
    return str(page.raw.get("ts") or "")


def _roles(page: Page) -> set[str]:
    return set(page.raw.get("roles") or ())
