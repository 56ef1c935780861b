"""The replaceable parts of a simulated venue: which volume fills, at which price, when, and for which fee."""

from typing import Literal, Protocol

import msgspec

from trading.amounts import divide_half_even

BPS = 10_000
PPM = 1_000_000
Liquidity = Literal["maker", "taker"]


class FillModel(Protocol):
    """How much of the shown or traded volume is ours."""

    def available(self, volume: int, lot: int) -> int:
        """Return the quantity that our orders may have of this volume, in whole lots."""
        ...


class LatencyModel(Protocol):
    """When a request arrives."""

    def arrival_ns(self, order: str, verb: str, ts_ns: int) -> int:
        """Return when a request that leaves at `ts_ns` reaches the venue."""
        ...


class SlippageModel(Protocol):
    """How much worse than the shown price a taker trades."""

    def price(self, price: int, side: int, tick: int) -> int:
        """Return the price after slippage."""
        ...


class FeeModel(Protocol):
    """What a fill costs on top."""

    def fee(self, value: int, liquidity: Liquidity) -> int:
        """Return the fee in cash for a fill of this value."""
        ...


class Participation(msgspec.Struct, frozen=True):
    """A share of each volume, in basis points."""

    bps: int = BPS

    def available(self, volume: int, lot: int) -> int:
        """Return the share in whole lots."""
        return volume * self.bps // BPS // lot * lot


class FixedLatency(msgspec.Struct, frozen=True):
    """The same delay for each request."""

    ns: int = 0

    def arrival_ns(self, order: str, verb: str, ts_ns: int) -> int:  # noqa: ARG002 - the protocol of all latency models
        """Return the time after the fixed delay."""
        return ts_ns + self.ns


class TickSlippage(msgspec.Struct, frozen=True):
    """A fixed number of ticks against a taker."""

    ticks: int = 0

    def price(self, price: int, side: int, tick: int) -> int:
        """Return the price moved against the taker, but never below one tick."""
        return max(tick, price + side * self.ticks * tick)


class PpmFee(msgspec.Struct, frozen=True):
    """A fee in millionths of the value; a negative one is a rebate."""

    maker_ppm: int = 0
    taker_ppm: int = 0

    def fee(self, value: int, liquidity: Liquidity) -> int:
        """Return the fee, rounded half to even."""
        return divide_half_even(value * (self.maker_ppm if liquidity == "maker" else self.taker_ppm), PPM)


class Models(msgspec.Struct, frozen=True):
    """One choice of each."""

    fill: FillModel = Participation()
    latency: LatencyModel = FixedLatency()
    slippage: SlippageModel = TickSlippage()
    fees: FeeModel = PpmFee()
