from trading.ids import digest, digest_int, instrument_id


def test_ids_are_the_same_on_every_machine() -> None:
    assert digest("acc", 1, "x") == digest("acc", "1", "x")
    assert digest("a", "b") != digest("ab")
    assert len(digest("a")) == 32
    assert digest_int("T-1") == digest_int("T-1") != digest_int("T-2")
    assert 0 <= digest_int("T-1") < 2**63
    assert instrument_id("BTC-USD", "SIM") == "BTC-USD.SIM"


def test_known_values_do_not_change() -> None:
    assert (digest("a", 1), digest_int("a")) == ("b4feb303ba68581ff5140f67114e15e6", 2_340_832_890_917_691_671)
