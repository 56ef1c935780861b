"""The default models, in whole lots and half-even cash."""

from trading.routing.models import FixedLatency, Participation, PpmFee, TickSlippage


def test_the_models() -> None:
    assert Participation(2_500).available(99, 5) == 20
    assert FixedLatency(7).arrival_ns("o", "new", 5) == 12
    assert TickSlippage(2).price(100, 1, 5) == 110
    assert TickSlippage(2).price(100, -1, 5) == 90
    assert TickSlippage(50).price(100, -1, 5) == 5
    fees = PpmFee(-100, 250)
    assert fees.fee(10_000_000, "taker") == 2_500
    assert fees.fee(10_000_000, "maker") == -1_000
    assert PpmFee(0, 1).fee(500_000, "taker") == 0
    assert PpmFee(0, 1).fee(1_500_000, "taker") == 2
