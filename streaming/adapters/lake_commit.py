"""Commits as the Delta protocol has them: one JSON file for each version, whole and on the disk before it has its name.

Written here and not by deltalake, whose commits read the list of all data files, and so slow down with every commit.
The name is given by a hard link, which fails where the version exists: that is the protocol's put-if-absent.
"""

import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from streaming.adapters.lake_files import LOG_FOLDER, META_KEY, DataFile, Disk, LakeError, commit_path, read_commit
from streaming.adapters.lake_history import log_stands

Actions = list[dict[str, Any]]


def content(
    added: Sequence[DataFile],
    removed: Sequence[DataFile],
    meta: Mapping[str, Any],
    transactions: Mapping[str, int],
    *,
    changes_data: bool,
) -> bytes:
    """Return the file of one commit: its info with `meta`, then files that come and go, then transactions."""
    now_ms = time.time_ns() // 1_000_000
    actions: Actions = [
        {
            "add": {
                "path": file.path,
                "partitionValues": {"date": file.date},
                "size": file.size,
                "modificationTime": now_ms,
                "dataChange": changes_data,
                "stats": json.dumps({"numRecords": file.rows}),
            }
        }
        for file in added
    ]
    actions += [
        {
            "remove": {
                "path": file.path,
                "deletionTimestamp": now_ms,
                "dataChange": changes_data,
                "extendedFileMetadata": True,
                "partitionValues": {"date": file.date},
                "size": file.size,
            }
        }
        for file in removed
    ]
    actions += [{"txn": {"appId": app, "version": offset}} for app, offset in transactions.items()]
    info = {
        "timestamp": now_ms,
        "operation": "WRITE" if changes_data else "OPTIMIZE",
        "operationParameters": {"mode": "Append"},
        "isBlindAppend": not removed,
        META_KEY: {"actions": len(actions), **meta},
    }
    return "".join(json.dumps(action) + "\n" for action in ({"commitInfo": info}, *actions)).encode()


def is_append(actions: Actions) -> bool:
    """Tell whether a commit only added files: it took none away and changed neither columns nor protocol."""
    return not any(name in action for action in actions for name in ("remove", "metaData", "protocol"))


class LogTail:
    """The end of a table's log as one writer knows it, with the last offset of each application id that it has seen."""

    def __init__(self, folder: Path, version: int, disk: Disk, synced: int = -1) -> None:
        """`version` is the newest that is known, `synced` the newest that is on the disk with all before it."""
        self.version, self.synced = version, synced
        self.applied: dict[str, int | None] = {}
        self._folder, self._disk = folder, disk

    def publish(self, text: bytes) -> bool:
        """Make `text` the next commit; return False if another writer was first. The log is still to be synced."""
        draft = self._folder / LOG_FOLDER / f"_commit_{uuid.uuid4().hex}.json.tmp"
        try:
            draft.write_bytes(text)
            self._disk.sync(draft)
            # With the archiver kept out, a free name after a commit that is there means that nobody has used it.
            with log_stands(self._folder):
                if not commit_path(self._folder, self.version).exists():
                    return False
                os.link(draft, commit_path(self._folder, self.version + 1))
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        self.version += 1
        return True

    def catch_up(self) -> list[Actions] | None:
        """Return the commits that others have made since; None if they have left the log: open the table anew."""
        found: list[Actions] = []
        with log_stands(self._folder):
            if not commit_path(self._folder, self.version).exists():
                return None
            while (actions := _actions_of(self._folder, self.version + 1)) is not None:
                self.version += 1
                self.applied |= {
                    action["txn"]["appId"]: action["txn"]["version"] for action in actions if "txn" in action
                }
                found.append(actions)
        return found

    def sync(self) -> None:
        """Bring all commits up to the known version to the disk, also those of others that ours stand on."""
        if self.version == self.synced:
            return
        for version in range(self.synced + 1, self.version + 1):
            path = commit_path(self._folder, version)
            if path.exists():
                self._disk.sync(path)
        self._disk.sync(self._folder / LOG_FOLDER)
        self.synced = self.version


def _actions_of(folder: Path, version: int) -> Actions | None:
    path = commit_path(folder, version)
    try:
        actions = read_commit(path)
    except FileNotFoundError:
        return None
    if actions is None:
        raise LakeError("LOG_BROKEN", f"{path} cannot be read; restore the table's folder")
    return actions
