"""Which record made a processor raise, over restarts: `{home}/state/poison.json`. The third failure condemns it.

A batch that fails names only a range; after the restart its records are given one by one, which finds the one at fault.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from streaming.transport.client import BrokerError

FAILURES_MAX = 3
MESSAGE_CHARS_MAX = 500


class Suspect(msgspec.Struct, frozen=True):
    """The records of one partition that failed last: offsets first to last, failures in a row, and the error."""

    first: int
    last: int
    failures: int
    error: str
    lettered: bool = False

    def condemns(self, offset: int) -> bool:
        """Tell whether this very record failed too often."""
        return self.failures >= FAILURES_MAX and self.first == offset == self.last


class PoisonFile:
    """The suspects of all partitions, by `role/topic/partition`. Several processes may share the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> Suspect | None:
        """Return the suspect of a partition, or None. A file that cannot be read holds no suspects."""
        return self._read().get(key)

    def failed(self, key: str, first: int, last: int, error: BaseException) -> Suspect:
        """Count a failure of the records first to last and return the suspect."""
        with self._locked() as suspects:
            old = suspects.get(key)
            again = old is not None and old.first <= first and last <= old.last
            failures = old.failures + 1 if old is not None and again else 1
            text = f"{type(error).__name__}: {error}"[:MESSAGE_CHARS_MAX]
            suspects[key] = Suspect(first, last, failures, text)
            return suspects[key]

    def lettered(self, key: str, suspect: Suspect) -> Suspect:
        """Note that the dead letter of a condemned record is written, so that a restart writes no second one."""
        with self._locked() as suspects:
            suspects[key] = msgspec.structs.replace(suspect, lettered=True)
            return suspects[key]

    def passed(self, key: str) -> None:
        """Forget the suspect of a partition: its records are behind us for good."""
        with self._locked() as suspects:
            suspects.pop(key, None)

    def _read(self) -> dict[str, Suspect]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Suspect])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}

    @contextmanager
    def _locked(self) -> Iterator[dict[str, Suspect]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            suspects = self._read()
            yield suspects
            fresh = self._path.with_suffix(".new")
            with fresh.open("wb") as file:
                file.write(msgspec.json.encode(suspects))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)


def blames_record(error: BaseException) -> bool:
    """Tell whether an error can be the record's fault, and not the broker's, the disk's or the machine's."""
    return not isinstance(error, BrokerError | OSError | MemoryError) and not hasattr(error, "retriable")
