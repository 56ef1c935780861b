from trading.market.totals import Totals


def test_counts_add_up_and_the_old_totals_stay() -> None:
    first = Totals()
    second = first.plus({"B": 1}, frames=1, rejected=1).plus({"A": 2, "B": 1}, frames=1, rejected=3)
    assert (second.frames, second.rejected, list(second.codes.items())) == (2, 4, [("A", 2), ("B", 2)])
    assert first == Totals()
