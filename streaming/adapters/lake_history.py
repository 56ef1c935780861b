"""The offsets that a table holds, provable for the life of the table: what each commit says it wrote, in order.

Commit files leave the Delta log soon, because each commit lists that folder and would slow down with its size. Their
content goes to one file a day under `_history`, and after the retention into `_history/ranges.json`, folded.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from streaming.adapters.lake_files import (
    Disk,
    LakeError,
    checkpoint_path,
    checkpoints,
    commit_path,
    commits,
    read_commit,
    write_atomic,
)

HISTORY_FOLDER = "_history"
RETENTION_DAYS = 7
KEEP_CHECKPOINTS = 3
# A reader that opens the table needs the commits since the checkpoint that it saw; this many stay for slow ones.
KEEP_COMMITS = 20
_FOLDED = "ranges.json"


class SourceRange(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit took from one topic partition: offsets `first` to `last`, both included, as `rows` rows.

    `raw` holds the highest raw offset of each raw partition among its rows. Dropped duplicates have no rows.
    """

    topic: str
    partition: int
    first: int
    last: int
    rows: int
    raw: Mapping[int, int] = {}

    @property
    def app(self) -> str:
        """Return the id under which the table remembers the last offset of this topic partition."""
        return f"{self.topic}-{self.partition}"

    def transactions(self) -> dict[str, int]:
        """Return the application transactions that make a second write of this range visible."""
        return {self.app: self.last} | {f"{self.app}:{part}": offset for part, offset in self.raw.items()}


class OffsetRange(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a table's offset history. A folded one covers the commits from `version` to `last_version`."""

    version: int
    last_version: int
    source: SourceRange


class _Folded(msgspec.Struct, frozen=True):
    version: int
    ranges: list[OffsetRange]


class _Line(msgspec.Struct):
    version: int
    actions: list[dict[str, msgspec.Raw]]


class _Meta(msgspec.Struct):
    ranges: list[SourceRange] = []


class _Info(msgspec.Struct):
    trade: _Meta | None = None
    timestamp: int = 0


_line = msgspec.json.Decoder(_Line)
_info = msgspec.json.Decoder(_Info)


def already_taken(ranges: Sequence[SourceRange], applied: Callable[[str], int | None]) -> bool:
    """Tell whether a table holds all of the ranges; raise OFFSETS_OVERLAP if it holds only a part of one."""
    known = [(source, applied(source.app)) for source in ranges]
    if all(done is not None and done >= source.last for source, done in known):
        return True
    for source in ranges:
        for app, offset in source.transactions().items():
            done = applied(app)
            if done is not None and done >= (source.first if app == source.app else offset):
                raise LakeError(
                    "OFFSETS_OVERLAP",
                    f"{app}: the table holds offsets up to {done}, this write covers {source.first} to {source.last}; "
                    "another writer works on the same partition: start again from the table",
                )
    return False


def offset_ranges(folder: Path) -> list[OffsetRange]:
    """Return what every commit took from its sources, in order of version; each commit counts once."""
    # The log is read before the history: the archiver writes to the history before it deletes from the log.
    recent = dict(_commits_in_log(folder))
    archived = dict(_commits_in_history(folder))
    folded = _read_folded(folder)
    found = list(folded.ranges)
    for version, info in sorted((archived | recent).items()):
        if version > folded.version and info.trade is not None:
            found += [OffsetRange(version=version, last_version=version, source=source) for source in info.trade.ranges]
    return found


def range_faults(ranges: Iterable[OffsetRange]) -> list[str]:
    """Return one line for each place where the ranges of a source leave a gap or overlap; empty means they tile."""
    faults = []
    last: dict[str, int] = {}
    for entry in ranges:
        source = entry.source
        wanted = last.get(source.app, source.first - 1) + 1
        if source.first != wanted:
            kind = "gap" if source.first > wanted else "overlap"
            faults.append(f"{source.app}: {kind} at version {entry.version}: starts at {source.first}, wanted {wanted}")
        last[source.app] = source.last
    return faults


def archive(folder: Path, disk: Disk) -> None:
    """Move commits that the kept checkpoints do not need from the log to the history; drop older checkpoints."""
    with _sole_archiver(folder) as sole:
        saved = checkpoints(folder)
        if not sole or len(saved) < KEEP_CHECKPOINTS:
            return
        oldest = saved[-KEEP_CHECKPOINTS]
        old = [version for version in commits(folder) if version < min(oldest, saved[-1] - KEEP_COMMITS)]
        days: dict[str, list[bytes]] = {}
        for version in old:
            actions = read_commit(commit_path(folder, version)) or []
            line = json.dumps({"version": version, "actions": actions}, separators=(",", ":"))
            days.setdefault(_day_of(actions), []).append(line.encode() + b"\n")
        for day, lines in days.items():
            _append(folder / HISTORY_FOLDER / f"{day}.jsonl", b"".join(lines), disk)
        for version in old:
            commit_path(folder, version).unlink()
        for version in saved[:-KEEP_CHECKPOINTS]:
            checkpoint_path(folder, version).unlink()


def fold_history(folder: Path, disk: Disk, now_s: float) -> None:
    """Fold the history of days older than the retention into one file of joined ranges, then delete those days."""
    limit = datetime.fromtimestamp(now_s - RETENTION_DAYS * 86_400, UTC).date().isoformat()
    with _sole_archiver(folder) as sole:
        old = [path for path in sorted((folder / HISTORY_FOLDER).glob("*.jsonl")) if path.stem < limit]
        if not sole or not old:
            return
        last = max((version for path in old for version, _ in _read_lines(path)), default=-1)
        ranges = offset_ranges(folder)
        joined = _join(entry for entry in ranges if entry.last_version <= last)
        content = msgspec.json.encode(_Folded(max(last, _read_folded(folder).version), joined))
        write_atomic(folder / HISTORY_FOLDER / _FOLDED, content, disk)
        for path in old:
            path.unlink()


def _join(ranges: Iterable[OffsetRange]) -> list[OffsetRange]:
    """Join neighbours of one source. A gap or an overlap starts a new entry, so that faults stay visible."""
    joined: list[OffsetRange] = []
    newest: dict[str, int] = {}
    for entry in ranges:
        index = newest.get(entry.source.app)
        before = joined[index] if index is not None else None
        if index is None or before is None or before.source.last + 1 != entry.source.first:
            newest[entry.source.app] = len(joined)
            joined.append(entry)
            continue
        source = msgspec.structs.replace(
            before.source,
            last=entry.source.last,
            rows=before.source.rows + entry.source.rows,
            raw=dict(before.source.raw) | dict(entry.source.raw),
        )
        joined[index] = OffsetRange(version=before.version, last_version=entry.last_version, source=source)
    return joined


def _commits_in_log(folder: Path) -> Iterator[tuple[int, _Info]]:
    for version in commits(folder):
        try:
            actions = read_commit(commit_path(folder, version))
        except FileNotFoundError:
            continue
        for action in actions or ():
            if "commitInfo" in action:
                yield version, msgspec.convert(action["commitInfo"], _Info, strict=False)


def _commits_in_history(folder: Path) -> Iterator[tuple[int, _Info]]:
    for path in sorted((folder / HISTORY_FOLDER).glob("*.jsonl")):
        yield from _read_lines(path)


def _read_lines(path: Path) -> Iterator[tuple[int, _Info]]:
    for text in path.read_bytes().splitlines():
        try:
            line = _line.decode(text)
        except msgspec.DecodeError:
            # Torn by a power cut before its commit files were deleted; they were archived again.
            continue
        for action in line.actions:
            if "commitInfo" in action:
                yield line.version, _info.decode(action["commitInfo"])


def _read_folded(folder: Path) -> _Folded:
    try:
        return msgspec.json.decode((folder / HISTORY_FOLDER / _FOLDED).read_bytes(), type=_Folded)
    except FileNotFoundError:
        return _Folded(-1, [])


def _day_of(actions: list[dict[str, dict[str, int]]]) -> str:
    stamp_ms = next((action["commitInfo"]["timestamp"] for action in actions if "commitInfo" in action), 0)
    return datetime.fromtimestamp(stamp_ms / 1_000, UTC).date().isoformat()


def _append(path: Path, content: bytes, disk: Disk) -> None:
    is_new = not path.exists()
    with path.open("ab") as file:
        # A torn last line of an earlier crash must not swallow the first new one.
        file.write(content if is_new or path.stat().st_size == 0 else b"\n" + content)
    disk.sync(path)
    if is_new:
        disk.sync(path.parent)


@contextmanager
def log_stands(folder: Path) -> Iterator[None]:
    """Keep every archiver out for a moment, so that no commit leaves the log."""
    with _lock(folder) as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield


@contextmanager
def _sole_archiver(folder: Path) -> Iterator[bool]:
    """Hold the right to change the history, or yield False where another process holds it."""
    with _lock(folder) as handle:
        yield _try_lock(handle)


@contextmanager
def _lock(folder: Path) -> Iterator[int]:
    place = folder / HISTORY_FOLDER
    place.mkdir(exist_ok=True)
    handle = os.open(place / "lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        yield handle
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
