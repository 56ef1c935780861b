from pathlib import Path

import pytest

from streaming.adapters.feed import FeedError
from streaming.adapters.feed_replay import ReplayFeed
from streaming.adapters.feed_sim import SimFeed
from streaming.adapters.feed_source import open_feed
from streaming.settings import FeedSettings
from tests.streaming.adapters.tick_files import trades, write


def test_sim() -> None:
    assert isinstance(open_feed(FeedSettings()), SimFeed)


def test_replay_with_and_without_options(tmp_path: Path) -> None:
    file = write(trades(3), tmp_path / "day.parquet")
    plain = open_feed(FeedSettings(source=f"replay:{file}"))
    assert isinstance(plain, ReplayFeed)
    assert plain.venue == "US"
    paced = open_feed(FeedSettings(source=f"replay:{file}?speed=10&venue=XX"))
    assert paced.venue == "XX"
    assert open_feed(FeedSettings(source=f"replay:{file}?venue=XX", speed=10)).name == paced.name


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("replay:nowhere.parquet", "FEED_FILE_MISSING"),
        ("replay:day.parquet?speed=fast", "FEED_OPTION_INVALID"),
        ("replay:day.parquet?speed=-1", "FEED_OPTION_INVALID"),
        ("replay:day.parquet?pace=1", "FEED_OPTION_UNKNOWN"),
        ("replay:.", "FEED_FILE_MISSING"),
    ],
)
def test_a_source_that_cannot_be(source: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FeedError) as raised:
        open_feed(FeedSettings(source=source))
    assert raised.value.code == code


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(FeedError) as raised:
        open_feed(FeedSettings.model_construct(source="radio"))
    assert raised.value.code == "FEED_SOURCE_UNKNOWN"
