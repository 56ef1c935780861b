"""The benchmark of the sinks runs, checks its state, and says what it measured."""

import json
from pathlib import Path

import pytest

from streaming.bench.sink import main


def test_a_short_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both writers end with the same rows; nothing stays on the disk. Its times are not judged here."""
    code = main(["--json", "--commits", "20", "--rows", "1500", "--peer-commits", "12", "--folder", str(tmp_path)])
    result = json.loads(capsys.readouterr().out)
    assert result["state_checked"]
    assert code == (0 if result["passed"] else 1)
    assert (result["commits"], result["peer_commits"]) == (20, 12)
    assert min(result[f"{name}_rows_per_s"] for name in ("ours", "peer")) > 0
    assert list(tmp_path.iterdir()) == []
