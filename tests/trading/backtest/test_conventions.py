from trading.backtest.conventions import BidAsk, NextOpen, SameClose, convention


def test_each_name_has_its_convention() -> None:
    assert convention("next-open") == NextOpen()
    assert convention("same-close") == SameClose()
    assert convention("bid-ask", 3) == BidAsk(3)


def test_next_open_lets_requests_wait_and_the_others_do_not() -> None:
    assert NextOpen().at_close(100) is None
    assert SameClose().at_close(100) == (100, 100)
    assert BidAsk(2).at_close(100) == (98, 102)


def test_a_bid_stays_above_zero() -> None:
    assert BidAsk(5).around(3) == (1, 8)
    assert NextOpen().around(3) == SameClose().around(3) == (3, 3)
