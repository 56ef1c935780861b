"""The lake: Delta tables on a local disk, written exactly once and durably. The only door to deltalake.

An append is deduplicated by the offsets that it carries, its files are on the disk before the commit that names them,
and the commit is on the disk before the call returns. Calls block; use threads. Readers need no lock.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from streaming.adapters import lake_compact as compaction
from streaming.adapters import lake_files as files
from streaming.adapters import lake_history as history
from streaming.adapters.lake_files import DataFile, Disk, LakeError, arrow_schema
from streaming.adapters.lake_history import OffsetRange, SourceRange
from streaming.adapters.lake_reads import LakeReads, retry_read
from trading.schemas import Table

__all__ = ["Appended", "Disk", "Lake", "LakeError", "OffsetRange", "SourceRange", "arrow_schema"]

log = logging.getLogger(__name__)

COMMIT_ATTEMPTS = 20
VACUUM_HOURS = 7 * 24
# Delta does not see that two commits removed the same file; a transaction of this name makes the second one fail.
_REWRITE_APP = "rewrite"
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
    """One open table of one process, used under its lock. `synced` is the highest version known to be on the disk."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.delta: DeltaTable | None = None
        self.synced = -1
        self.checkpointed = -1
        self.applied: dict[str, int | None] = {}


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
            if self._is_applied(handle, ranges):
                self._sync_log(table, handle)
                return Appended(_delta(handle).version(), written=False)
            added = files.write_data(self.path(table), rows, self._disk) if rows.num_rows else []
            self._on_step("data_synced")
            transactions = {app: offset for source in ranges for app, offset in source.transactions().items()}
            try:
                written = self._commit_once(table, handle, added, ranges, transactions)
            except (LakeError, DeltaError, OSError):
                self._discard_uncommitted(table, added)
                raise
            return Appended(self._maintain(table, handle), written)

    def _commit_once(
        self,
        table: Table,
        handle: _Handle,
        added: list[DataFile],
        ranges: Sequence[SourceRange],
        transactions: Mapping[str, int],
    ) -> bool:
        for _ in range(COMMIT_ATTEMPTS):
            try:
                self._commit(table, handle, added, [], {"ranges": ranges}, transactions)
            except CommitFailedError:
                self._load(table, handle)
                if self._is_applied(handle, ranges):
                    files.discard(self.path(table), added)
                    self._sync_log(table, handle)
                    return False
                continue
            handle.applied |= transactions
            return True
        raise _contention(table)

    def _discard_uncommitted(self, table: Table, added: list[DataFile]) -> None:
        """Give back the space of a failed write, unless its commit went through after all."""
        committed = set(self._files(table))
        files.discard(self.path(table), [file for file in added if file not in committed])

    def _is_applied(self, handle: _Handle, ranges: Sequence[SourceRange]) -> bool:
        return bool(ranges) and history.already_taken(ranges, lambda app: self._applied(handle, app))

    def _applied(self, handle: _Handle, app: str) -> int | None:
        if app not in handle.applied:
            handle.applied[app] = _delta(handle).transaction_version(app)
        return handle.applied[app]

    def _commit(
        self,
        table: Table,
        handle: _Handle,
        added: Sequence[DataFile],
        removed: Sequence[DataFile],
        meta: Mapping[str, Any],
        transactions: Mapping[str, int],
        *,
        changes_data: bool = True,
    ) -> None:
        """Commit file actions on top of the open version, then bring the log to the disk."""
        delta = _delta(handle)
        before = delta.version()
        now_ms = time.time_ns() // 1_000_000
        actions = [
            AddAction(f.path, f.size, {"date": f.date}, now_ms, changes_data, json.dumps({"numRecords": f.rows}))
            for f in added
        ] + [RemoveAction(f.path, changes_data, now_ms, f.size, {"date": f.date}) for f in removed]
        meta = {"actions": len(actions) + len(transactions)} | msgspec.to_builtins(meta, str_keys=True)
        delta.create_write_transaction(
            actions,
            "append",
            arrow_schema(table),
            partition_by=[table.partition_by],
            commit_properties=CommitProperties(
                custom_metadata={files.META_KEY: meta},
                app_transactions=[Transaction(app, version) for app, version in transactions.items()],
            ),
            post_commithook_properties=_NO_HOOKS,
        )
        self._on_step("committed")
        delta.update_incremental()
        if delta.version() != before + 1:
            handle.applied.clear()
        self._sync_log(table, handle)
        self._on_step("commit_synced")

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
            with self._open(table) as handle:
                self._load(table, handle)
                chosen = compaction.choose(_data_files(handle, day))
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
        content: Callable[[Sequence[DataFile]], pa.Table | None],
        day: date,
        *,
        changes_data: bool,
        only: set[str] | None = None,
    ) -> Appended:
        """Replace files of one date by one that holds `content(files)`; None means that there is nothing to do."""
        with self._open(table) as handle:
            self._load(table, handle)
            for _ in range(COMMIT_ATTEMPTS):
                removed = [file for file in _data_files(handle, day) if only is None or file.path in only]
                rows = content(removed)
                if rows is None:
                    return Appended(_delta(handle).version(), written=False)
                rows = rows.sort_by([(name, "ascending") for name in compaction.sort_columns(table)])
                added = files.write_data(self.path(table), rows, self._disk, compacted=True) if rows.num_rows else []
                self._on_step("data_synced")
                guard = {_REWRITE_APP: _delta(handle).version()}
                try:
                    self._commit(table, handle, added, removed, {}, guard, changes_data=changes_data)
                except CommitFailedError:
                    files.discard(self.path(table), added)
                    self._load(table, handle)
                    continue
                return Appended(self._maintain(table, handle), written=True)
            raise _contention(table)

    def vacuum(self, table: Table, retention_hours: int = VACUUM_HOURS) -> list[str]:
        """Delete data files that left the table that long ago, and fold old history. 0 hours: no one else may read."""
        with self._open(table) as handle:
            self._load(table, handle)
            dropped: list[str] = _delta(handle).vacuum(
                retention_hours,
                dry_run=False,
                enforce_retention_duration=False,
                full=True,
                post_commithook_properties=_NO_HOOKS,
            )
            self._load(table, handle)
            self._sync_log(table, handle)
            history.fold_history(self.path(table), self._disk, time.time())
            return dropped

    def applied(self, table: Table, app: str) -> int | None:
        """Return the last offset that the table holds of an application id, or None."""
        with self._open(table) as handle:
            self._load(table, handle)
            return self._applied(handle, app)

    def version(self, table: Table) -> int:
        """Return the newest version of the table."""
        return int(self._snapshot(table).version())

    def checkpoint(self, table: Table) -> None:
        """Write a checkpoint now and archive the commits that it makes unnecessary for opening the table."""
        with self._open(table) as handle:
            self._checkpoint(table, handle)

    def _files(self, table: Table) -> list[DataFile]:
        return _active_files(self._snapshot(table))

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
                if handle.delta is None:
                    self._prepare(table, handle)
                elif not files.commit_path(self.path(table), handle.delta.version()).exists():
                    # Archived while this table was idle: Delta cannot compare a new commit with what came since.
                    self._load(table, handle)
                yield handle
            except BaseException as error:
                handle.delta = None
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
        self._load(table, handle)
        handle.checkpointed = max(files.checkpoints(folder), default=-1)
        handle.synced = handle.checkpointed
        self._sync_log(table, handle)

    def _load(self, table: Table, handle: _Handle) -> None:
        handle.delta = DeltaTable(str(self.path(table)))
        handle.applied.clear()
        _check_schema(table, handle.delta)

    def _sync_log(self, table: Table, handle: _Handle) -> None:
        version = _delta(handle).version()
        if version == handle.synced:
            return
        for unsynced in range(handle.synced + 1, version + 1):
            path = files.commit_path(self.path(table), unsynced)
            if path.exists():
                self._disk.sync(path)
        self._disk.sync(self.path(table) / files.LOG_FOLDER)
        handle.synced = version

    def _maintain(self, table: Table, handle: _Handle) -> int:
        """Checkpoint when it is due, return the version. The commit is durable already: a failure is only told."""
        version = _delta(handle).version()
        if version - handle.checkpointed >= self._checkpoint_every:
            try:
                self._checkpoint(table, handle)
            except (OSError, DeltaError) as error:
                log.warning("LAKE_CHECKPOINT_FAILED: %s: %s; tried again after the next commit", table.name, error)
                handle.delta = None
        return version

    def _checkpoint(self, table: Table, handle: _Handle) -> None:
        folder = self.path(table)
        version = _delta(handle).version()
        _delta(handle).create_checkpoint()
        self._on_step("checkpoint_written")
        for path in (files.checkpoint_path(folder, version), folder / files.LOG_FOLDER / "_last_checkpoint"):
            self._disk.sync(path)
        self._disk.sync(folder / files.LOG_FOLDER)
        self._on_step("checkpointed")
        history.archive(folder, self._disk)
        self._on_step("archived")
        handle.checkpointed = version
        # Opened anew, because an open table keeps reading the log from the checkpoint that it was opened with.
        applied = dict(handle.applied)
        self._load(table, handle)
        if _delta(handle).version() == version:
            handle.applied = applied


def _delta(handle: _Handle) -> DeltaTable:
    assert handle.delta is not None, "the table is open"
    return handle.delta


def _contention(table: Table) -> LakeError:
    return LakeError("COMMIT_CONTENTION", f"{table.name}: other writers won {COMMIT_ATTEMPTS} times", retriable=True)


def _active_files(delta: DeltaTable) -> list[DataFile]:
    actions = pa.table(delta.get_add_actions(flatten=True))
    columns = (actions[name].to_pylist() for name in ("path", "partition.date", "size_bytes", "num_records"))
    return [DataFile(path, day.isoformat(), size, rows) for path, day, size, rows in zip(*columns, strict=True)]


def _data_files(handle: _Handle, day: date) -> list[DataFile]:
    return [file for file in _active_files(_delta(handle)) if file.date == day.isoformat()]


def _check_schema(table: Table, delta: DeltaTable) -> None:
    files.check_columns(table, pa.schema(delta.schema().to_arrow()), delta.metadata().partition_columns)
