import json

import pytest

from streaming.bench import normalize


def test_a_small_run_reports_each_figure(capsys: pytest.CaptureFixture[str]) -> None:
    normalize.main(["--json", "--ticks", "3000"])
    result = json.loads(capsys.readouterr().out)
    assert result["symbols"] >= 6
    for name in ("trades_normalise", "trades_normalise_and_encode", "mixed_normalise", "mixed_normalise_and_encode"):
        assert result[f"{name}_ticks_per_s"] > 0
    assert isinstance(result["passed"], bool)


def test_lost_ticks_stop_it() -> None:
    frames = normalize.frames(3_000, 0.5)
    with pytest.raises(SystemExit, match="not every tick"):
        normalize.seconds([*frames, frames[0]], encode=False)
