"""The topics of the embedded broker, in `topics.json`, replaced as a whole and synced."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from streaming.transport.client import BrokerError, TopicSpec
from streaming.transport.segment import sync_folder
from streaming.transport.segments import write_error

_NAME = re.compile(r"(?!__)[A-Za-z0-9._-]{1,249}")
_DOTS = {".", ".."}


def check_same_partitions(spec: TopicSpec, found: int) -> None:
    """Raise `TOPIC_MISMATCH` if an existing topic has another partition count than asked for."""
    if found != spec.partitions:
        raise BrokerError(
            "TOPIC_MISMATCH",
            f"topic {spec.name!r} has {found} partitions, {spec.partitions} were asked for. "
            "Partition counts cannot change: set the old count, or start with new data.",
        )


class TopicTable:
    """What topics exist."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "topics.json"
        self._specs: dict[str, TopicSpec] = {}

    def load(self) -> None:
        """Read the table; raise `LOG_CORRUPT` if it cannot be read."""
        try:
            specs = msgspec.json.decode(self._file.read_bytes(), type=list[TopicSpec])
        except FileNotFoundError:
            return
        except msgspec.DecodeError as error:
            raise BrokerError("LOG_CORRUPT", f"{self._file}: {error}. Restore it from a copy.") from None
        self._specs = {spec.name: spec for spec in specs}

    def all(self) -> Iterator[TopicSpec]:
        """Yield every topic."""
        yield from self._specs.values()

    def get(self, name: str) -> TopicSpec | None:
        """Return a topic or None."""
        return self._specs.get(name)

    def missing(self, specs: Sequence[TopicSpec]) -> list[TopicSpec]:
        """Return those that do not exist; raise `TOPIC_MISMATCH` or `TOPIC_INVALID` before anything is created."""
        wanted: dict[str, TopicSpec] = {}
        for spec in specs:
            if not _NAME.fullmatch(spec.name) or spec.name in _DOTS or spec.partitions < 1:
                raise BrokerError("TOPIC_INVALID", f"{spec}: a name is 1 to 249 of A-Z a-z 0-9 . _ - and no __ first")
            known = self._specs.get(spec.name) or wanted.get(spec.name)
            if known is not None:
                check_same_partitions(spec, known.partitions)
            else:
                wanted[spec.name] = spec
        return list(wanted.values())

    def add(self, spec: TopicSpec) -> None:
        """Store one more topic, durably."""
        specs = {**self._specs, spec.name: spec}
        draft = self._file.with_suffix(".draft")
        try:
            with draft.open("wb") as file:
                file.write(msgspec.json.encode(list(specs.values())))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._file)
            for folder in (self._file.parent / "topics" / spec.name, self._file.parent / "topics", self._file.parent):
                sync_folder(folder)
        except OSError as error:
            raise write_error(self._file, error) from error
        self._specs = specs
