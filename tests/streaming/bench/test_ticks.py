import json
from pathlib import Path

import pytest

from streaming.bench.ticks import main, measure
from streaming.settings import FeedSettings, HttpSettings, Settings


async def test_a_run_counts_every_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.bench.ticks.WARM_UP_S", 0.2)
    feed = FeedSettings(rate=2_000, burst=1)
    run = await measure(Settings(home=tmp_path, feed=feed, http=HttpSettings(port=0)), 0.5, sinks=True)
    assert (run.broker, run.sinks, run.rate, run.behind) == ("log", True, 2_000, 0)
    assert run.ticks > 0
    assert 0 < run.p50_ms <= run.p99_ms <= run.max_ms


def test_the_report_is_json_and_the_exit_code_tells_of_the_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("streaming.bench.ticks.WARM_UP_S", 0.2)
    code = main(["--rate", "500", "--seconds", "0.5", "--runs", "1", "--sinks", "off", "--json"])
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == (0 if report["passed"] else 1)
    assert [run["behind"] for run in report["runs"]] == [0]
    assert report["medians"][0]["p50_ms"] == report["runs"][0]["p50_ms"]
