"""A mistake in the settings names the file or the variable, the key and the rule."""

import os
from pathlib import Path

import pytest

from streaming.settings import ConfigError, Settings, load

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("TRADE_"):
            monkeypatch.delenv(name)


def write(folder: Path, text: str) -> Path:
    path = folder / "trade.toml"
    path.write_text(text)
    return path


def test_the_committed_profile_says_the_defaults() -> None:
    values = load(ROOT / "trade.toml").model_dump()
    assert values == load(None).model_dump() | {"home": ROOT / "var"}


def test_a_relative_home_belongs_to_the_file(tmp_path: Path) -> None:
    settings = load(write(tmp_path, 'home = "data"'))
    assert settings.home == tmp_path / "data"
    assert settings.broker_url == f"log://{tmp_path}/data/log"


def test_a_variable_wins_over_the_file_and_leaves_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADE_FEED__RATE", "50")
    settings = load(write(tmp_path, "[feed]\nrate = 10\nseed = 3"))
    assert (settings.feed.rate, settings.feed.seed) == (50, 3)


@pytest.mark.parametrize(
    ("text", "key", "rule"),
    [
        ("nonsense = 1", "nonsense", "Extra inputs"),
        ("[feed]\nrat = 1", "feed.rat", "Extra inputs"),
        ("[http]\nport = 70000", "http.port", "less than or equal to 65535"),
        ("[feed]\nsource = 'kraken'", "feed.source", "pattern"),
        ("broker = 'redis://x'", "broker", "want log://"),
        ("broker = 'log://relative'", "broker", "want log://"),
        ("broker = 'kafka://host'", "broker", "want log://"),
        ("profile = 'service'", "broker", "log:// is one process"),
        ("profile = 'service'\nbroker = 'kafka://localhost:9092'", "broker", "loopback"),
        ("profile = 'service'\nbroker = 'kafka://127.0.0.9:9092'", "broker", "loopback"),
        ("profile = 'service'\nbroker = 'kafka://[::1]:9092'", "broker", "loopback"),
        ("[[instruments]]\nsymbol = 'A'", "instruments", "row 0 (A): Object missing required field `venue`"),
        ("[[instruments]]\nsymbol = 'A'\nvenue = 'V'\ntick = 'x'", "instruments", "row 0 (A): tick: Expected `int`"),
        ("[[instruments]]\nsymbol = 'A'\nvenue = 'V'\ntikc = 1", "instruments", "row 0 (A): tikc: unknown"),
        ("[[instruments]]\nsymbol = 'A'\nvenue = 'V'\ntick = 0", "instruments", "tick and lot must be at least 1"),
        ("[[instruments]]\nsymbol='A'\nvenue='V'\n" * 2, "instruments", "row 1 (A.V): defined twice"),
        ("home = ", "(file)", "Invalid value"),
    ],
)
def test_a_mistake_in_the_file(tmp_path: Path, text: str, key: str, rule: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert (caught.value.where, caught.value.key) == (str(path), key)
    assert rule in caught.value.rule
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("TRADE_FEED__RATE", "-1", "greater than"),
        ("TRADE_BORKER", "x", "no setting is called 'borker'"),
        ("TRADE_FEED__BOGUS", "1", "Extra inputs"),
        ("TRADE_FSYNC", "maybe", "Input should be"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, rule: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load(None)
    assert (caught.value.where, caught.value.key) == ("environment", name)
    assert rule in caught.value.rule


def test_a_variable_that_is_no_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADE_FEED", "{")
    with pytest.raises(ConfigError, match="feed"):
        load(None)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml")


def test_the_broker_of_a_service() -> None:
    settings = Settings(profile="service", broker="kafka://k1:9092", home=Path("/data"))
    assert settings.broker_url == "kafka://k1:9092"


def test_a_configured_instrument_replaces_its_namesake(tmp_path: Path) -> None:
    settings = load(write(tmp_path, "[[instruments]]\nsymbol = 'SPY'\nvenue = 'US'\nlot = 100"))
    table = settings.instrument_table()
    assert table["SPY.US"].lot == 100
    assert table["IBM.US"].lot == 1
