"""`trade up` as a whole, with the children replaced by stand-ins: what is announced and what is refused."""

from pathlib import Path

import pytest

from orchestration.commands import overview, start, up
from orchestration.commands.failure import EXIT_CONFIG, CommandError
from orchestration.commands.plan import Plan
from orchestration.commands.view import View

OUTCOME = up.Outcome(0, 1.0, restarts=0, pids=())


def test_a_report_needs_an_end(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="--report needs --for") as caught:
        start.run(start.Options(report=tmp_path / "out.json"))
    assert caught.value.exit_code == EXIT_CONFIG


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_data_folder_that_cannot_be_is_refused(below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRADE_HOME", str(tmp_path / "file" / below))
    with pytest.raises(CommandError, match=r"home: cannot write to .*TRADE_HOME") as caught:
        start.run(start.Options())
    assert caught.value.exit_code == EXIT_CONFIG


def test_while_it_runs_its_address_is_known_and_the_folder_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADE_HOME", str(tmp_path))
    monkeypatch.setenv("TRADE_HTTP__PORT", "0")
    monkeypatch.setenv("TRADE_DAGSTER__PORT", "0")
    monkeypatch.setenv("TRADE_UP__PORT", "0")
    seen: list[Plan] = []

    def look(plan: Plan, view: View, for_s: float | None) -> up.Outcome:
        seen.append(plan)
        assert tuple(overview.running(tmp_path)) == plan.http
        with pytest.raises(CommandError, match="HOME_IN_USE"):
            start.run(start.Options())
        return OUTCOME

    monkeypatch.setattr(up, "run", look)
    assert start.run(start.Options()) == 0
    assert len(seen[0].dagster) == 2
    assert overview.running(tmp_path) == []


def test_dagster_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADE_HOME", str(tmp_path))
    monkeypatch.setenv("TRADE_HTTP__PORT", "0")
    monkeypatch.setenv("TRADE_UP__PORT", "0")
    monkeypatch.setenv("TRADE_UP__MARKET_PORT", "0")
    seen: list[Plan] = []

    def look(plan: Plan, view: View, for_s: float | None) -> up.Outcome:
        seen.append(plan)
        return OUTCOME

    monkeypatch.setattr(up, "run", look)
    start.run(start.Options(dagster=False, feed="sim", broker="kafka://127.0.0.1:9092"))
    assert seen[0].dagster == ()
    assert seen[0].workers[0].command.env["TRADE_BROKER"] == "kafka://127.0.0.1:9092"
