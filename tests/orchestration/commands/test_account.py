"""The last words of a child."""

import json
from pathlib import Path

import pytest

from orchestration.commands.account import LINE_CHARS, last_error


def log(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "worker.log"
    file.write_text("\n".join(lines))
    return file


def entry(level: str, message: str, **more: str) -> str:
    return json.dumps({"level": level, "message": message} | more)


def test_the_last_error_wins_over_later_information(tmp_path: Path) -> None:
    file = log(tmp_path, entry("error", "first"), entry("error", "no space", code="DISK_FULL"), entry("info", "bye"))
    assert last_error(file, 0) == "DISK_FULL: no space"


def test_without_an_error_it_is_the_last_line(tmp_path: Path) -> None:
    assert last_error(log(tmp_path, "Traceback", "ValueError: odd", ""), 0) == "ValueError: odd"


def test_lines_of_an_earlier_run_do_not_count(tmp_path: Path) -> None:
    file = log(tmp_path, entry("error", "old"))
    assert last_error(file, file.stat().st_size) == ""


@pytest.mark.parametrize("line", ["{broken", '{"level": 7}', "{}"])
def test_odd_lines_are_shown_as_they_are(tmp_path: Path, line: str) -> None:
    assert last_error(log(tmp_path, line), 0) == line


def test_a_long_line_is_cut(tmp_path: Path) -> None:
    assert len(last_error(log(tmp_path, "x" * 5000), 0)) == LINE_CHARS


def test_no_log_is_no_words(tmp_path: Path) -> None:
    assert last_error(tmp_path / "none", 0) == ""
