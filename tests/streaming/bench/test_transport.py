"""The program runs, checks what it stored, and reports; figures are not judged here."""

import json
from pathlib import Path

import pytest

from streaming.bench.transport import check_stored, floor_per_s, main
from streaming.transport.client import TopicSpec
from streaming.transport.log_client import LogClient


def test_a_short_run_reports_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--records", "2000", "--rounds", "1", "--seconds", "0.2", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert (code == 0) == result["passed"]
    (log,) = result["brokers"]
    assert log["broker"] == "log"
    for name in ("single", "batch"):
        assert all(log[f"{name}_{figure}"] > 0 for figure in ("per_s", "floor_per_s", "cpu_us"))
    assert 0 < log["latency_ms"]["p50"] <= log["latency_ms"]["p99"]
    assert result["machine"]["cpus"] > 0


def test_the_floor_leaves_no_file(tmp_path: Path) -> None:
    assert floor_per_s(tmp_path, 1_000, 10) > 0
    assert list(tmp_path.iterdir()) == []


async def test_a_lost_or_changed_record_fails_the_run(tmp_path: Path) -> None:
    client = LogClient(tmp_path)
    await client.start()
    await client.create_topics([TopicSpec("t", 1)])
    await client.append("t", 0, [(None, b"a"), (None, b"b")])
    await check_stored(client, "t", [b"a", b"b"], ordered=True)
    for wrong in ([b"a"], [b"a", b"c"], [b"b", b"a"]):
        with pytest.raises(RuntimeError, match="2 records stored"):
            await check_stored(client, "t", wrong, ordered=True)
    await client.stop()
