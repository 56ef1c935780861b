"""The lake under kill -9, power cuts, torn files and a full disk: nothing acknowledged is lost, nothing is doubled."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from streaming.adapters.lake import Disk, Lake, LakeError
from tests.streaming.adapters.lake_rows import STEPS, TINY, keys, log_files, put, rows, span, wanted
from tests.streaming.adapters.power_cut import PowerCutDisk

TMPFS_BYTES = 16 << 20


@pytest.mark.parametrize("step", STEPS)
def test_kill_9_at_any_step(tmp_path: Path, step: str) -> None:
    """What returned is there; going on behind the table's offset makes every row exist once."""
    program = [sys.executable, "-m", "tests.streaming.adapters.lake_process", str(tmp_path), step, "5", "0"]
    died = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
    assert died.returncode == -9, died.stderr
    acknowledged = [int(line) for line in died.stdout.split()]
    lake = Lake(tmp_path, checkpoint_every=2)
    applied = lake.applied(TINY, "ticks-0")
    assert applied is not None
    assert applied >= acknowledged[-1]
    assert keys(lake) == wanted(range(applied + 1))
    for offset in range(acknowledged[-1], applied + 4):
        put(lake, offset)
    assert keys(lake) == wanted(range(applied + 4))
    assert lake.range_faults(TINY) == []


@pytest.mark.parametrize("names_are_early", [False, True])
@pytest.mark.parametrize("step", ["returned", *STEPS])
def test_power_cut_at_any_step(tmp_path: Path, step: str, names_are_early: bool) -> None:
    """Of what is left on the disk, all that was acknowledged can be read, and the rest can be appended again."""
    root, left = tmp_path / "root", tmp_path / "left"
    root.mkdir()
    disk = PowerCutDisk(root)
    acknowledged = -1
    cut_after: list[int] = []

    def on_step(name: str) -> None:
        if name == step and acknowledged >= 5 and not cut_after:
            disk.leave(left, names_are_early=names_are_early)
            cut_after.append(acknowledged)

    lake = Lake(root, checkpoint_every=2, disk=disk, on_step=on_step)
    for offset in range(9):
        put(lake, offset)
        acknowledged = offset
        on_step("returned")
    after = Lake(left, checkpoint_every=2)
    applied = after.applied(TINY, "ticks-0")
    assert applied is not None
    assert applied >= cut_after[0]
    assert keys(after) == wanted(range(applied + 1))
    for offset in range(applied + 1, 9):
        assert put(after, offset)
    assert keys(after) == wanted(range(9))
    assert after.range_faults(TINY) == []


def test_without_syncs_a_power_cut_loses_rows(tmp_path: Path) -> None:
    """The check of the check: the same cut over a disk whose syncs do nothing."""
    root, left = tmp_path / "root", tmp_path / "left"
    root.mkdir()
    disk = PowerCutDisk(root)

    class Lying(Disk):
        def sync(self, path: Path) -> None:
            pass

    lake = Lake(root, disk=Lying())
    put(lake, 0)
    disk.leave(left, names_are_early=True)
    after = Lake(left)
    after.ensure(TINY)
    assert keys(after) == []


def cut_line(text: bytes) -> bytes:
    """Cut in the middle of a line."""
    return text[: len(text) // 2]


def cut_last_line(text: bytes) -> bytes:
    """Cut at the end of a line, so that what is left is sound JSON."""
    return b"\n".join(text.splitlines()[:-1]) + b"\n"


def nothing(text: bytes) -> bytes:
    """Leave an empty file."""
    return b""


@pytest.mark.parametrize("checkpoint_every", [4, 100])
@pytest.mark.parametrize("tear", [nothing, cut_line, cut_last_line], ids=lambda tear: tear.__name__)
def test_a_torn_last_commit_is_moved_aside(
    tmp_path: Path, tear: Callable[[bytes], bytes], checkpoint_every: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Readers look at the version before; the writer says so, and the rows come again."""
    lake = Lake(tmp_path, checkpoint_every=checkpoint_every)
    for offset in range(5):
        put(lake, offset)
    last = log_files(lake)[-1]
    last.write_bytes(tear(last.read_bytes()))
    assert keys(Lake(tmp_path)) == wanted(range(4))
    again = Lake(tmp_path)
    assert again.applied(TINY, "ticks-0") == 3
    assert "LAKE_TORN_COMMIT" in caplog.text
    assert len(list((again.path(TINY) / "_aside").iterdir())) == 1
    assert put(again, 4)
    assert put(again, 5)
    assert keys(again) == wanted(range(6))
    assert again.range_faults(TINY) == []


def test_a_last_commit_whose_data_is_gone_is_moved_aside(tmp_path: Path) -> None:
    """Its file was cut or deleted."""
    lake = Lake(tmp_path)
    put(lake, 0)
    before = set(lake.files(TINY))
    put(lake, 1)
    (lost,) = set(lake.files(TINY)) - before
    Path(lost).write_bytes(b"")
    again = Lake(tmp_path)
    assert again.applied(TINY, "ticks-0") == 0
    assert put(again, 1)
    assert keys(again) == wanted(range(2))


def test_a_torn_commit_before_a_sound_one_is_not_guessed_at(tmp_path: Path) -> None:
    """That is no power cut; a person must look."""
    lake = Lake(tmp_path)
    for offset in range(3):
        put(lake, offset)
    log_files(lake)[-2].write_bytes(b"")
    with pytest.raises(LakeError, match=log_files(lake)[-2].name) as caught:
        put(Lake(tmp_path), 3)
    assert caught.value.code == "LOG_BROKEN"


def test_a_torn_first_commit_makes_the_table_anew(tmp_path: Path) -> None:
    """The table was just being created."""
    lake = Lake(tmp_path)
    lake.ensure(TINY)
    log_files(lake)[0].write_bytes(b"")
    again = Lake(tmp_path)
    assert put(again, 0)
    assert keys(again) == wanted([0])


@pytest.mark.parametrize("name", ["_last_checkpoint", "*.checkpoint.parquet"])
def test_a_torn_checkpoint_is_moved_aside(tmp_path: Path, name: str) -> None:
    """The one before and the commits since are enough."""
    lake = Lake(tmp_path, checkpoint_every=2)
    for offset in range(9):
        put(lake, offset)
    newest = max((lake.path(TINY) / "_delta_log").glob(name))
    newest.write_bytes(b"")
    again = Lake(tmp_path, checkpoint_every=2)
    assert again.applied(TINY, "ticks-0") == 8
    assert put(again, 9)
    assert keys(again) == wanted(range(10))


def test_orphans_are_harmless(tmp_path: Path) -> None:
    """Data files without a commit, and drafts of commits."""
    lake = Lake(tmp_path)
    put(lake, 0)
    folder = lake.path(TINY)
    (folder / "date=2024-03-01" / "part-orphan.parquet").write_bytes(b"half a file")
    (folder / "_delta_log" / f"{2:020d}.json#1").write_bytes(b"{")
    again = Lake(tmp_path)
    assert put(again, 1)
    assert keys(again) == wanted(range(2))


def test_a_failed_sync_is_not_acknowledged(tmp_path: Path) -> None:
    """The error passes through, and the range can be appended again."""

    class Failing(Disk):
        fail = True

        def sync(self, path: Path) -> None:
            if self.fail and path.suffix == ".json" and path.stem.endswith("2"):
                raise OSError(5, "Input/output error")
            super().sync(path)

    disk = Failing()
    lake = Lake(tmp_path, disk=disk)
    put(lake, 0)
    with pytest.raises(OSError, match="Input/output"):
        put(lake, 1)
    disk.fail = False
    put(lake, 1)
    assert keys(lake) == wanted(range(2))


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """Mount 16 MB of memory as a disk, outside of tmp_path, which pytest could not delete after a killed run."""
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        folder.rmdir()
        pytest.skip(f"mounting a tmpfs is not permitted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(64 << 10)):
                pass
        except OSError:
            return


def test_a_full_disk_refuses_and_goes_on_when_space_returns(small_disk: Path) -> None:
    """DISK_FULL is retriable, repeats without eating space, and nothing is lost or doubled."""
    lake = Lake(small_disk / "lake", checkpoint_every=2)
    put(lake, 0)
    filler = small_disk / "filler"
    fill(filler)
    for _ in range(5):
        with pytest.raises(LakeError, match="tiny_v1") as caught:
            put(lake, 1, 400)
        assert (caught.value.code, caught.value.retriable) == ("DISK_FULL", True)
    assert keys(lake) == wanted([0])
    assert len(list(lake.path(TINY).rglob("*.parquet"))) <= 2
    filler.unlink()
    assert put(lake, 1, 400)
    assert put(lake, 401)
    assert keys(lake) == wanted(range(402))


def test_a_disk_that_fills_at_any_step(small_disk: Path) -> None:
    """The disk fills behind the data files, the commit or the checkpoint."""
    filler = small_disk / "filler"
    for step in STEPS:

        def on_step(name: str, step: str = step) -> None:
            if name == step:
                fill(filler)

        root = small_disk / step
        for offset in range(4):
            lake = Lake(root, checkpoint_every=1, on_step=on_step)
            with suppress(LakeError):
                lake.append(TINY, rows(offset), [span(offset)])
            filler.unlink(missing_ok=True)
            put(Lake(root, checkpoint_every=1), offset)
        assert keys(Lake(root)) == wanted(range(4))
