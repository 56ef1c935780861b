import json
import re

import numpy as np
import pytest

from orchestration import backtest_report as module
from orchestration.backtest_report import figures, lines, picture, to_html
from tests.trading.backtest.worlds import XYZ, Script, flat, order, series
from trading.backtest.engine import run_bars
from trading.backtest.result import Result


def result() -> Result:
    script = Script({0: order(10), 2: order(-10), 3: order(10**7), 4: order(10**8)})
    return run_bars(script, "script", series(flat([10_000, 10_100, 10_200, 10_300, 10_400, 10_500])), XYZ)


def test_figures_are_plain_data_and_undefined_is_none() -> None:
    plain = figures(result())
    assert (plain["orders"], plain["fills"], plain["trades"], plain["final_equity"]) == (2, 2, 1, 1_000_020.0)
    assert plain["refusals"] == {"MAX_ORDER_VALUE": 2}
    assert plain["profit_factor"] is None
    assert json.loads(json.dumps(plain)) == plain


def test_lines_are_for_people_and_their_names_differ() -> None:
    texts = dict(lines(figures(result())))
    assert len(texts) == len(figures(result()))
    assert (texts["final equity"], texts["profit factor"], texts["hit rate"]) == ("1,000,020.00", "-", "100.00%")
    assert texts["refusals"] == "MAX_ORDER_VALUE 2"
    assert texts["longest drawdown"] == "0.0 days"


def test_the_report_needs_nothing_else_and_escapes_what_it_shows() -> None:
    html = to_html("<sma> & co", result(), ["a <split>?"])
    assert "&lt;sma&gt; &amp; co" in html
    assert "a &lt;split&gt;?" in html
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert all(words in html for words in ("Figures", "Refused by the risk gate", "MAX_ORDER_VALUE", "Round trips"))
    assert html.count("<tr><td>2024-01-01") == 1


def test_only_so_many_round_trips_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TRIPS", 0)
    assert "the first 0 of 1" in to_html("t", result())


def test_the_picture_is_a_png_and_keeps_the_deepest_fall() -> None:
    assert picture(result()).startswith(b"\x89PNG")
    curve = np.full(100_000, 100.0)
    curve[54_321] = 1.0
    chosen = module._extremes(curve)
    assert 54_321 in chosen
    assert len(chosen) <= module.MAX_POINTS + 2
    assert module._extremes(curve[:10]).tolist() == list(range(10))
