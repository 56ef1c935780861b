"""At which price a request meets the market when only bars are known. One choice for a run; replaceable.

A convention names the two sides shown at the open and at the close of a bar, or None where requests must wait. Next
open: what is decided at a close trades at the next bar's open. Same close: it trades at that close. Bid/ask: as same
close, but a taker pays half of an assumed spread.
"""

from typing import Literal, Protocol

import msgspec

Sides = tuple[int, int]
Name = Literal["next-open", "same-close", "bid-ask"]


class Convention(Protocol):
    """Bid and ask around a price of a bar."""

    def around(self, price: int) -> Sides:
        """Return the bid and the ask while the market is at this price."""
        ...

    def at_close(self, price: int) -> Sides | None:
        """Return the sides that a request of this bar's close meets, None if it waits for the next bar."""
        ...


class NextOpen(msgspec.Struct, frozen=True):
    """Requests wait for the next bar."""

    def around(self, price: int) -> Sides:
        """Return the price on both sides."""
        return price, price

    def at_close(self, price: int) -> Sides | None:  # noqa: ARG002 - the protocol of all conventions
        """Return None: the close is over when the strategy hears of it."""
        return None


class SameClose(msgspec.Struct, frozen=True):
    """Requests meet the close that caused them."""

    def around(self, price: int) -> Sides:
        """Return the price on both sides."""
        return price, price

    def at_close(self, price: int) -> Sides | None:
        """Return the close on both sides."""
        return price, price


class BidAsk(msgspec.Struct, frozen=True):
    """Requests meet the close with half of a spread on each side, in units of the price scale."""

    half_spread: int = 1

    def around(self, price: int) -> Sides:
        """Return the price less and plus half of the spread; the bid stays above zero."""
        return max(1, price - self.half_spread), price + self.half_spread

    def at_close(self, price: int) -> Sides | None:
        """Return the sides around the close."""
        return self.around(price)


def convention(name: Name, half_spread: int = 1) -> Convention:
    """Return the convention of this name."""
    if name == "next-open":
        return NextOpen()
    return SameClose() if name == "same-close" else BidAsk(half_spread)
