import numpy as np

from tests.trading.market.frames import OPEN, frame, trade
from trading.market.rejects import SAMPLE_CHARS, TEXTS, Code, reject_rows, sample


def test_every_code_has_a_text() -> None:
    assert set(TEXTS) == set(Code) - {Code.OK}


def test_rows_are_named_with_their_values() -> None:
    made = frame([trade(OPEN, 10), trade(OPEN, -1, 2.5, id=7), trade(OPEN, 0)], 0)
    rejects = reject_rows(made, np.array([0, Code.NEGATIVE_PRICE, Code.ZERO_SIZE], np.uint8))
    assert [(reject.code, reject.row) for reject in rejects] == [("NEGATIVE_PRICE", 1), ("ZERO_SIZE", 2)]
    assert "trade_id=7 price=-1.0 qty=2.5" in rejects[0].sample


def test_a_sample_is_short() -> None:
    made = frame([trade(OPEN, 10, condition="c" * 500)], 0)
    assert len(sample(made, 0)) == SAMPLE_CHARS
