import importlib.util
from pathlib import Path

import pytest

from trading.market import sessions_table

GENERATOR = Path(__file__).parents[3] / "deploy" / "calendars" / "generate.py"


def test_the_table_is_what_the_generator_writes() -> None:
    pytest.importorskip("exchange_calendars", reason="exchange-calendars is a development dependency")
    spec = importlib.util.spec_from_file_location("generate", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.render() == Path(sessions_table.__file__).read_text()
