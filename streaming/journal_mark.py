"""How far a fold of the journal has come, in a file, so that a start does not read what lies before.

The file counts only beside the journal that it was folded from: the record it ends with must still be there.
"""

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from streaming.transport.client import BrokerClient, Record


class Mark(msgspec.Struct, frozen=True):
    """What was folded up to and including `offset`, whose record has this digest."""

    offset: int
    digest: str
    generation: int
    folded: str


class Folded(NamedTuple):
    """A record, the generation after it, and what the fold has come to."""

    record: Record
    generation: int
    folded: str


_marks = msgspec.json.Decoder(Mark)


class MarkFile:
    """The newest mark of one fold of one partition."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, at: Folded) -> None:
        """Replace the mark. A file that a power cut has torn is none."""
        mark = Mark(at.record.offset, _digest(at.record), at.generation, at.folded)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(mark))
        draft.replace(self._path)

    async def read(self, client: BrokerClient, topic: str, partition: int, end: int) -> Mark | None:
        """Return the mark, or None if there is none that lies before `end` of this very journal."""
        try:
            mark = _marks.decode(self._path.read_bytes())
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        if mark.offset >= end:
            return None
        async for record in client.read(topic, partition, mark.offset, mark.offset + 1):
            if record.offset == mark.offset and _digest(record) == mark.digest:
                return mark
        return None


def _digest(record: Record) -> str:
    return sha256(record.value or b"").hexdigest()
