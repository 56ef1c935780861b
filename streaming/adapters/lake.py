"""The lake: Delta tables on a local disk, written exactly once and durably. The only door to deltalake.

An append is deduplicated by the offsets that it carries, its files are on the disk before the commit that names them,
and the commit is on the disk before the call returns. Calls block; use threads. Readers need no lock.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, PostCommitHookProperties
from deltalake.exceptions import DeltaError

from streaming.adapters import lake_compact as compaction
from streaming.adapters import lake_files as files
from streaming.adapters import lake_history as history
from streaming.adapters.lake_commit import Actions, LogTail, content, is_append
from streaming.adapters.lake_files import DataFile, Disk, LakeError, arrow_schema
from streaming.adapters.lake_history import OffsetRange, SourceRange
from streaming.adapters.lake_reads import LakeReads, retry_read
from trading.schemas import Table

__all__ = ["Appended", "Disk", "Lake", "LakeError", "OffsetRange", "SourceRange", "arrow_schema"]

log = logging.getLogger(__name__)

COMMIT_ATTEMPTS = 20
VACUUM_HOURS = 7 * 24
_CONFIGURATION: Mapping[str, str | None] = {
    "delta.logRetentionDuration": "interval 7 days",
    "delta.enableExpiredLogCleanup": "false",
}
_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


class Appended(NamedTuple):
    """The outcome of an append: the table's version, and False if the offsets were already in the table."""

    version: int
    written: bool


class _Handle:
    """One table of one process, used under its lock. Without a tail it is to be opened anew."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tail: LogTail | None = None
        self.checkpointed = -1


class Lake(LakeReads):
    """All tables under one folder, as `{root}/{layer}/{table}`. One process should share one instance."""

    def __init__(
        self,
        root: Path,
        *,
        checkpoint_every: int = 10,
        disk: Disk | None = None,
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Use the folder `root`. `disk` and `on_step` (called with the name of each step of a write) are for tests."""
        self.root = root
        self._checkpoint_every = checkpoint_every
        self._disk = disk or Disk()
        self._on_step = on_step
        self._handles: dict[str, _Handle] = {}
        self._handles_lock = threading.Lock()

    def path(self, table: Table) -> Path:
        """Return the folder of a table."""
        return self.root / table.layer / table.name

    def exists(self, table: Table) -> bool:
        """Tell whether the table was created."""
        folder = self.path(table)
        return bool(files.checkpoints(folder) or files.commits(folder))

    def ensure(self, table: Table) -> None:
        """Create the table if it is missing; repair its log after a crash; raise TABLE_SCHEMA_MISMATCH."""
        with self._open(table):
            return

    def append(self, table: Table, rows: pa.Table, ranges: Sequence[SourceRange] = ()) -> Appended:
        """Append rows that were taken from `ranges`, once: a range that the table holds already is skipped.

        Raises OFFSETS_OVERLAP if another writer has taken a part of a range, DISK_FULL, COMMIT_CONTENTION.
        """
        files.check_rows(table, rows)
        with self._open(table) as handle:
            if self._is_applied(table, handle, ranges):
                _tail(handle).sync()
                return Appended(_tail(handle).version, written=False)
            added = files.write_data(self.path(table), rows, self._disk) if rows.num_rows else []
            self._on_step("data_synced")
            try:
                written = self._append_once(table, handle, added, ranges)
            except (LakeError, DeltaError, OSError):
                self._discard_uncommitted(table, added)
                raise
            return Appended(self._maintain(table, handle), written)

    def _append_once(self, table: Table, handle: _Handle, added: list[DataFile], ranges: Sequence[SourceRange]) -> bool:
        transactions = {app: offset for source in ranges for app, offset in source.transactions().items()}
        meta = {"ranges": msgspec.to_builtins(ranges, str_keys=True)}
        text = content(added, [], meta, transactions, changes_data=True)
        for _ in range(COMMIT_ATTEMPTS):
            if self._publish(handle, text):
                _tail(handle).applied |= transactions
                return True
            self._catch_up(table, handle)
            if self._is_applied(table, handle, ranges):
                files.discard(self.path(table), added)
                _tail(handle).sync()
                return False
        raise _contention(table)

    def _discard_uncommitted(self, table: Table, added: list[DataFile]) -> None:
        """Give back the space of a failed write, unless its commit went through after all."""
        committed = set(self._files(table))
        files.discard(self.path(table), [file for file in added if file not in committed])

    def _is_applied(self, table: Table, handle: _Handle, ranges: Sequence[SourceRange]) -> bool:
        return bool(ranges) and history.already_taken(ranges, lambda app: self._applied(table, handle, app))

    def _applied(self, table: Table, handle: _Handle, app: str) -> int | None:
        known = _tail(handle).applied
        if app not in known:
            known[app] = self._snapshot(table).transaction_version(app)
        return known[app]

    def _publish(self, handle: _Handle, text: bytes) -> bool:
        """Make the next commit, durably; return False if another writer was first."""
        if not _tail(handle).publish(text):
            return False
        self._on_step("committed")
        _tail(handle).sync()
        self._on_step("commit_synced")
        return True

    def _catch_up(self, table: Table, handle: _Handle) -> list[Actions] | None:
        """Return what others have committed since, None where that is not known or more than appends."""
        found = _tail(handle).catch_up()
        if found is None or not all(map(is_append, found)):
            self._load(table, handle)
            return None
        return found

    def replace_partition(self, table: Table, day: date, rows: pa.Table) -> Appended:
        """Replace all rows of one date by `rows`, which hold no other date. Doing it again changes nothing."""
        files.check_rows(table, rows)
        if rows.num_rows and pc.unique(rows["date"]).to_pylist() != [day]:
            raise LakeError("WRONG_DATE", f"{table.name}: rows to replace {day} hold other dates")
        return self._rewrite(table, lambda found: rows if rows.num_rows or found else None, day, changes_data=True)

    def compact(self, table: Table, day: date) -> int:
        """Join the small files of one date into sorted large ones; return how many files went away."""
        dropped = 0
        while True:
            chosen = compaction.choose(self._files_of(table, day))
            if not chosen:
                return dropped

            def merge(found: Sequence[DataFile], count: int = len(chosen)) -> pa.Table | None:
                return compaction.read_rows(self.path(table), table, found, day) if len(found) == count else None

            names = {file.path for file in chosen}
            if not self._rewrite(table, merge, day, changes_data=False, only=names).written:
                return dropped
            dropped += len(chosen) - 1

    def _rewrite(
        self,
        table: Table,
        new_rows: Callable[[Sequence[DataFile]], pa.Table | None],
        day: date,
        *,
        changes_data: bool,
        only: set[str] | None = None,
    ) -> Appended:
        """Replace files of one date by one that holds `new_rows(files)`; None means that there is nothing to do."""
        with self._open(table) as handle:
            for _ in range(COMMIT_ATTEMPTS):
                self._load(table, handle)
                removed = [file for file in self._files_of(table, day) if only is None or file.path in only]
                rows = new_rows(removed)
                if rows is None:
                    return Appended(_tail(handle).version, written=False)
                rows = rows.sort_by([(name, "ascending") for name in compaction.sort_columns(table)])
                added = files.write_data(self.path(table), rows, self._disk, compacted=True) if rows.num_rows else []
                self._on_step("data_synced")
                text = content(added, removed, {}, {}, changes_data=changes_data)
                try:
                    written = self._publish_over_appends(table, handle, text)
                except (LakeError, DeltaError, OSError):
                    self._discard_uncommitted(table, added)
                    raise
                if written:
                    return Appended(self._maintain(table, handle), written=True)
                files.discard(self.path(table), added)
            raise _contention(table)

    def _publish_over_appends(self, table: Table, handle: _Handle, text: bytes) -> bool:
        """Make a commit that takes files away; return False if others did more than append in the meantime."""
        for _ in range(COMMIT_ATTEMPTS):
            if self._publish(handle, text):
                return True
            if self._catch_up(table, handle) is None:
                return False
        return False

    def vacuum(self, table: Table, retention_hours: int = VACUUM_HOURS) -> list[str]:
        """Delete data files that left the table that long ago, and fold old history. 0 hours: no one else may read."""
        with self._open(table) as handle:
            dropped: list[str] = self._snapshot(table).vacuum(
                retention_hours,
                dry_run=False,
                enforce_retention_duration=False,
                full=True,
                post_commithook_properties=_NO_HOOKS,
            )
            self._load(table, handle)
            _tail(handle).sync()
            history.fold_history(self.path(table), self._disk, time.time())
            return dropped

    def applied(self, table: Table, app: str) -> int | None:
        """Return the last offset that the table holds of an application id, or None."""
        with self._open(table) as handle:
            self._load(table, handle)
            return self._applied(table, handle, app)

    def version(self, table: Table) -> int:
        """Return the newest version of the table."""
        return int(self._snapshot(table).version())

    def checkpoint(self, table: Table) -> None:
        """Write a checkpoint now and archive the commits that it makes unnecessary for opening the table."""
        with self._open(table) as handle:
            self._checkpoint(table, handle)

    def _files(self, table: Table) -> list[DataFile]:
        return _active_files(self._snapshot(table))

    def _files_of(self, table: Table, day: date) -> list[DataFile]:
        return [file for file in self._files(table) if file.date == day.isoformat()]

    def _snapshot(self, table: Table) -> DeltaTable:
        if not self.exists(table):
            raise LakeError("TABLE_MISSING", f"{self.path(table)} does not exist; the sink that writes it creates it")
        return retry_read(lambda: self._open_sound(table), (DeltaError, FileNotFoundError))

    def _open_sound(self, table: Table) -> DeltaTable:
        # A reader leaves the repair to the writer and looks at the version before.
        torn = files.torn_commits(self.path(table))
        delta = DeltaTable(str(self.path(table)), version=torn[0] - 1 if torn else None)
        _check_schema(table, delta)
        return delta

    @contextmanager
    def _open(self, table: Table) -> Iterator[_Handle]:
        """Hold the table open for writing. After any failure it is opened, repaired and checked anew."""
        with self._handles_lock:
            handle = self._handles.setdefault(table.name, _Handle())
        with handle.lock:
            try:
                if handle.tail is None:
                    self._prepare(table, handle)
                yield handle
            except BaseException as error:
                handle.tail = None
                if not isinstance(error, LakeError) and files.is_disk_full(error):
                    raise LakeError("DISK_FULL", f"{self.path(table)}: {error}", retriable=True) from error
                raise

    def _prepare(self, table: Table, handle: _Handle) -> None:
        folder = self.path(table)
        if self.exists(table):
            files.repair(folder, self._disk)
        if not self.exists(table):
            folder.mkdir(parents=True, exist_ok=True)
            DeltaTable.create(
                str(folder),
                schema=arrow_schema(table),
                mode="ignore",
                partition_by=[table.partition_by],
                name=table.name,
                description=table.description,
                configuration=_CONFIGURATION,
            )
            for path in (folder, *list(folder.parents)[:4]):
                self._disk.sync(path)
        handle.checkpointed = max(files.checkpoints(folder), default=-1)
        self._load(table, handle)
        _tail(handle).sync()

    def _load(self, table: Table, handle: _Handle) -> None:
        synced = handle.checkpointed if handle.tail is None else handle.tail.synced
        handle.tail = LogTail(self.path(table), self._snapshot(table).version(), self._disk, synced)

    def _maintain(self, table: Table, handle: _Handle) -> int:
        """Checkpoint when it is due, return the version. The commit is durable already: a failure is only told."""
        version = _tail(handle).version
        if version - handle.checkpointed >= self._checkpoint_every:
            try:
                self._checkpoint(table, handle)
            except (OSError, DeltaError) as error:
                log.warning("LAKE_CHECKPOINT_FAILED: %s: %s; tried again after the next commit", table.name, error)
        return version

    def _checkpoint(self, table: Table, handle: _Handle) -> None:
        folder = self.path(table)
        # Opened anew, because an open table gets slower with every commit since.
        delta = self._snapshot(table)
        # A checkpoint may only stand on commits that are on the disk, and the newest may be another writer's.
        LogTail(folder, delta.version(), self._disk, _tail(handle).synced).sync()
        delta.create_checkpoint()
        self._on_step("checkpoint_written")
        for path in (files.checkpoint_path(folder, delta.version()), folder / files.LOG_FOLDER / "_last_checkpoint"):
            self._disk.sync(path)
        self._disk.sync(folder / files.LOG_FOLDER)
        self._on_step("checkpointed")
        history.archive(folder, self._disk)
        self._on_step("archived")
        handle.checkpointed = delta.version()


def _tail(handle: _Handle) -> LogTail:
    assert handle.tail is not None, "the table is open"
    return handle.tail


def _contention(table: Table) -> LakeError:
    return LakeError("COMMIT_CONTENTION", f"{table.name}: other writers won {COMMIT_ATTEMPTS} times", retriable=True)


def _active_files(delta: DeltaTable) -> list[DataFile]:
    actions = pa.table(delta.get_add_actions(flatten=True))
    columns = (actions[name].to_pylist() for name in ("path", "partition.date", "size_bytes", "num_records"))
    return [DataFile(path, day.isoformat(), size, rows) for path, day, size, rows in zip(*columns, strict=True)]


def _check_schema(table: Table, delta: DeltaTable) -> None:
    files.check_columns(table, pa.schema(delta.schema().to_arrow()), delta.metadata().partition_columns)
