"""Settings of a command."""

import os
from pathlib import Path

import pytest

from orchestration.commands.configuration import config_file, feed_source, read
from orchestration.commands.failure import EXIT_CONFIG, CommandError


def test_the_command_line_wins_over_the_file_and_leaves_the_environment_alone(tmp_path: Path) -> None:
    file = tmp_path / "trade.toml"
    file.write_text('broker = "log://"\n[feed]\nsource = "replay:a.csv"\nseed = 3\n')
    settings = read(file, {"TRADE_FEED__SOURCE": "sim"})
    assert (settings.feed.source, settings.feed.seed) == ("sim", 3)
    assert "TRADE_FEED__SOURCE" not in os.environ


def test_a_mistake_carries_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "trade.toml").write_text("nonsense = 1\n")
    with pytest.raises(CommandError, match="nonsense") as caught:
        read(tmp_path / "trade.toml")
    assert caught.value.exit_code == EXIT_CONFIG


def test_the_file_in_the_working_folder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_file(None) is None
    (tmp_path / "trade.toml").touch()
    assert config_file(None) == tmp_path / "trade.toml"
    assert config_file(Path("other.toml")) == tmp_path / "other.toml"


def test_a_replayed_file_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "data" / "x.parquet").touch()
    monkeypatch.chdir(tmp_path / "work")
    assert feed_source("replay:../data/x.parquet") == f"replay:{tmp_path / 'data' / 'x.parquet'}"
    assert feed_source("sim") == "sim"
    with pytest.raises(CommandError, match="no such file"):
        feed_source("replay:../data/y.parquet")


def test_a_folder_and_options_are_for_the_worker_to_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "frames_v1").mkdir()
    monkeypatch.chdir(tmp_path)
    assert feed_source("replay:frames_v1") == f"replay:{tmp_path / 'frames_v1'}"
    assert feed_source("replay:frames_v1?speed=10&feed=sim-7") == f"replay:{tmp_path / 'frames_v1'}?speed=10&feed=sim-7"
