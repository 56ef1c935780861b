import json
from pathlib import Path

import pytest

from streaming.bench.orders import main


def test_a_short_load_leaves_what_was_acknowledged(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--rate", "20", "--seconds", "1", "--accounts", "3", "--json"])
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    run = report["runs"][0]
    assert code == (0 if report["passed"] else 1)
    assert (run["errors"], run["state_faults"], run["audit_faults"]) == ({}, [], [])
    assert run["acknowledged"]["open"] + 2 * run["acknowledged"]["canceled"] == 60
    assert run["acknowledged"]["canceled"] > 0
    assert (run["broker"], run["accounts"], run["requests"]) == ("log", 3, 20)
    assert run["new"]["count"] + run["cancel"]["count"] == 20
    assert 0 < run["all"]["p50_ms"] <= run["all"]["p99_ms"] <= run["all"]["max_ms"]


def test_nobody_at_the_url_is_exit_69(tmp_path: Path, free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "keys.json").write_text('{"version":1,"keys":[]}')
    assert main(["--url", f"http://127.0.0.1:{free_port}", "--home", str(tmp_path)]) == 69
    assert "NO_PLATFORM" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--url", "http://127.0.0.1:1"], ["--home", "absent"], ["--rate", "0"]])
def test_wrong_arguments_are_exit_2(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(wrong)
    assert end.value.code == 2
