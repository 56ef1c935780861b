from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest

from streaming.adapters.snapshot import SnapshotFile


class Head(msgspec.Struct, frozen=True):
    position: int


class OtherHead(msgspec.Struct, frozen=True):
    where: str


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path / "state" / "a.snap")
    assert file.read(Head) is None
    file.write(Head(1), b"one")
    file.write(Head(2), b"")
    assert file.read(Head) == (Head(2), b"")
    file.write(Head(3), b"one", np.arange(3).data, np.zeros(0).data)
    assert file.read(Head) == (Head(3), b"one" + np.arange(3).tobytes())
    assert [path.name for path in file.path.parent.iterdir()] == ["a.snap"]


@pytest.mark.parametrize("cut", [0, 5, 20, 40, -1])
def test_a_broken_snapshot_is_none(tmp_path: Path, cut: int) -> None:
    file = SnapshotFile(tmp_path / "a.snap")
    file.write(Head(1), b"body" * 10)
    file.path.write_bytes(file.path.read_bytes()[:cut])
    assert file.read(Head) is None


def test_every_flipped_bit_is_seen(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path / "a.snap")
    file.write(Head(1), b"body")
    whole = file.path.read_bytes()
    for place in range(len(whole)):
        spoiled = bytearray(whole)
        spoiled[place] ^= 0x10
        file.path.write_bytes(spoiled)
        assert file.read(Head) is None, place


def test_a_header_of_another_version_is_none(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path / "a.snap")
    file.write(Head(1), b"body")
    assert file.read(OtherHead) is None


def test_writers_of_one_path_take_turns(tmp_path: Path) -> None:
    bodies = [bytes([n]) * 2_000_000 for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda body: SnapshotFile(tmp_path / "a.snap").write(Head(body[0]), body), bodies))
    found = SnapshotFile(tmp_path / "a.snap").read(Head)
    assert found is not None
    assert found[1] == bodies[found[0].position]


def test_a_failed_write_leaves_the_old_one(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path / "a.snap")
    file.write(Head(1), b"old")
    file.path.with_suffix(".new").mkdir()
    with pytest.raises(OSError, match="directory"):
        file.write(Head(2), b"new")
    assert file.read(Head) == (Head(1), b"old")
