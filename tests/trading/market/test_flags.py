from trading.market import flags


def test_bits_are_distinct_and_named() -> None:
    assert sorted(flags.NAMES.values()) == [1, 2, 4, 8, 16, 32]
    assert flags.names(flags.LATE | flags.GAP) == ("gap", "late")
    assert flags.names(0) == ()
