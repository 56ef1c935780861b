import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from streaming.bench import bars


def test_a_small_run_compares_every_cell_and_reports() -> None:
    result = bars.measure(20_000, rounds=1)
    assert result["bars"] > 5 * bars.SYMBOLS
    assert {"ours_ms", "duckdb_ms", "polars_ms", "ratio_to_better_peer", "passed"} <= set(result)
    json.dumps(result)


def test_one_wrong_cell_stops_it() -> None:
    ticks = bars.make_ticks(5_000)
    run, read = bars.duckdb_bars(ticks)
    theirs = read(run())
    with ThreadPoolExecutor(1) as pool:
        mine = bars.ours(ticks, pool)()
    bars.assert_equal(mine, theirs, "duckdb")
    theirs["1h"]["c"] = theirs["1h"]["c"] + np.eye(1, len(theirs["1h"]["c"]))[0]
    with pytest.raises(SystemExit, match="column c of the 1h bars"):
        bars.assert_equal(mine, theirs, "duckdb")
