"""Alpaca's symbols lead to our instruments and back; ids are pure functions."""

from uuid import UUID

import pytest

from streaming.api.symbols import SymbolBook, account_uuid, as_uuid, asset_id, order_of_uuid
from trading.instruments import CATALOGUE

BOOK = SymbolBook(CATALOGUE, "SIM")


@pytest.mark.parametrize(
    ("symbol", "instrument"),
    [
        ("SPY", "SPY.US"),
        ("BTC/USD", "BTC-USD.SIM"),
        ("BTCUSD", "BTC-USD.SIM"),
        ("BTC-USD", "BTC-USD.SIM"),
        ("BTC-USD.COINBASE", "BTC-USD.COINBASE"),
        ("BTC/PERP", "BTC-PERP.PERP"),
    ],
)
def test_a_symbol_means_one_instrument(symbol: str, instrument: str) -> None:
    found = BOOK.find(symbol)
    assert found is not None
    assert found.id == instrument


def test_what_is_shown_is_found_again() -> None:
    for instrument in CATALOGUE:
        assert BOOK.find(BOOK.shown(instrument.id)) is instrument
        assert BOOK.find(asset_id(instrument.id)) is instrument


def test_without_a_preferred_venue_an_ambiguous_symbol_means_nothing() -> None:
    book = SymbolBook(CATALOGUE, "NOWHERE")
    assert book.find("BTC/USD") is None
    assert book.shown("BTC-USD.SIM") == "BTC-USD.SIM"
    assert book.find("SPY") is not None


def test_ids_are_uuids() -> None:
    order = "0123456789abcdef0123456789abcdef"
    assert order_of_uuid(as_uuid(order)) == order_of_uuid(order) == order
    assert [order_of_uuid(text) for text in ("", "x" * 32, order + "0", "{" + order + "}")] == [None] * 4
    assert UUID(account_uuid("a")) != UUID(account_uuid("b"))
