"""The load of orders: every request has a planned time, whatever the server does, and its latency runs from there.

70 % are new orders that rest below the market, each at a price of its own; 30 % cancel one that was acknowledged. All
pass every rule, so a refusal is an error. The ledger keeps what the server has acknowledged.
"""

import asyncio
import gc
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import NamedTuple

import msgspec
import numpy as np

from streaming.api.keys import Key
from streaming.bench.order_client import NO_ANSWER, Pool, headers_of, request

WARM_UP_S = 2.0
# Three of ten requests are cancels, spread evenly.
CANCEL_SLOTS = frozenset({2, 5, 8})
SLOTS = 10
LAST_ANSWER_S = 30.0
NEW, CANCEL = "new", "cancel"
VERBS = (NEW, CANCEL)
QTY = "0.0001"


class Quoting(NamedTuple):
    """What is bid: order n is at `top` - n ticks, both in 10**-scale."""

    symbol: str
    top: int
    tick: int
    scale: int

    def price(self, number: int) -> str:
        """Return the price of one order."""
        whole, part = divmod(self.top - number * self.tick, 10**self.scale)
        return f"{whole}.{part:0{self.scale}}" if self.scale else str(whole)


class Acknowledged(msgspec.Struct):
    """What the client reads of an answer to a new order."""

    id: str
    status: str


class Problem(msgspec.Struct):
    """What the client reads of a refusal."""

    reason: str = ""
    code: str | int = ""


@dataclass
class Ledger:
    """What a client knows. Orders are by client id; `open` and `canceled` hold what was acknowledged."""

    prefix: str
    sent: dict[str, Key] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)
    canceled: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)

    def take_open(self, pick: random.Random) -> str:
        """Remove a random acknowledged order, to cancel it."""
        place = pick.randrange(len(self.open))
        self.open[place], self.open[-1] = self.open[-1], self.open[place]
        return self.open.pop()


@dataclass
class Timing:
    """Planned time, delay until it was handed to the client, and answer of each request, in s of one clock."""

    verbs: list[str] = field(default_factory=list)
    planned: list[float] = field(default_factory=list)
    handed: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)


class Load:
    """One run of `rate` requests a second over some accounts."""

    def __init__(self, pool: Pool, keys: Sequence[Key], quoting: Quoting, prefix: str, seed: int = 7) -> None:
        self.ledger = Ledger(prefix)
        self.timing = Timing()
        self._pool = pool
        self._keys = keys
        self._heads = {key.account: headers_of(key) for key in keys}
        self._quoting = quoting
        self._random = random.Random(seed)
        self._decoder = msgspec.json.Decoder(Acknowledged)
        self._orders = 0
        self._out = 0
        self._quiet = asyncio.Event()

    async def run(self, rate: float, seconds: float) -> None:
        """Send for `seconds` behind a warm-up, and wait for the last answer."""
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            begin = perf_counter()
            for number in range(round(rate * (WARM_UP_S + seconds))):
                due = begin + number / rate
                await asyncio.sleep(max(0.0, due - perf_counter()))
                self._send(number, due)
            self._quiet.clear()
            if self._out:
                await asyncio.wait_for(self._quiet.wait(), LAST_ANSWER_S)
        except TimeoutError:
            self.ledger.errors["NO_ANSWER_IN_TIME"] += self._out
        finally:
            gc.enable()
            gc.unfreeze()

    def _send(self, number: int, due: float) -> None:
        timing, ledger = self.timing, self.ledger
        is_cancel = number % SLOTS in CANCEL_SLOTS and bool(ledger.open)
        timing.verbs.append(CANCEL if is_cancel else NEW)
        timing.planned.append(due)
        timing.handed.append(perf_counter())
        timing.answered.append(float("inf"))
        self._out += 1
        if is_cancel:
            order = ledger.take_open(self._random)
            payload = request("DELETE", f"/v2/orders/{ledger.ids[order]}", self._heads[ledger.sent[order].account])
            self._pool.send(payload, partial(self._canceled, number, order))
            return
        key = self._keys[self._orders % len(self._keys)]
        order = f"{ledger.prefix}{self._orders}"
        body = (
            f'{{"symbol":"{self._quoting.symbol}","qty":"{QTY}","side":"buy","type":"limit","time_in_force":"gtc",'
            f'"limit_price":"{self._quoting.price(self._orders)}","client_order_id":"{order}"}}'
        )
        self._orders += 1
        ledger.sent[order] = key
        payload = request("POST", "/v2/orders", self._heads[key.account], body.encode())
        self._pool.send(payload, partial(self._accepted, number, order))

    def _accepted(self, number: int, order: str, status: int, body: bytes) -> None:
        self._answered(number)
        ledger = self.ledger
        if status == 200:
            ledger.ids[order] = self._decoder.decode(body).id
            ledger.open.append(order)
            return
        if status in (NO_ANSWER, 503):
            ledger.doubtful.add(order)
        ledger.errors[code_of(status, body)] += 1

    def _canceled(self, number: int, order: str, status: int, body: bytes) -> None:
        self._answered(number)
        if status == 204:
            self.ledger.canceled.add(order)
            return
        self.ledger.doubtful.add(order)
        self.ledger.errors[code_of(status, body)] += 1

    def _answered(self, number: int) -> None:
        self.timing.answered[number] = perf_counter()
        self._out -= 1
        if not self._out:
            self._quiet.set()


def code_of(status: int, body: bytes) -> str:
    """Return the code of an answer that was not the one wanted."""
    if status == NO_ANSWER:
        return "NO_ANSWER"
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        return f"HTTP_{status}"
    return str(problem.reason or problem.code or f"HTTP_{status}")


def summary(timing: Timing, warm_up_s: float = WARM_UP_S) -> dict[str, object]:
    """Return requests, rate and latencies in ms of what was planned after the warm-up."""
    verbs = np.array(timing.verbs)
    planned, handed, answered = (np.array(column) for column in (timing.planned, timing.handed, timing.answered))
    kept = planned >= planned[0] + warm_up_s
    latency_ms = (answered - planned) * 1e3
    done = kept & np.isfinite(answered)
    span_s = answered[done].max() - planned[kept].min() if done.any() else float("inf")
    page: dict[str, object] = {
        "requests": int(kept.sum()),
        "answered_per_s": round(float(done.sum() / span_s), 1),
        "handed_late_ms_p99": _ms(np.percentile((handed - planned)[kept] * 1e3, 99)),
    }
    for name, chosen in (("all", done), *((verb, done & (verbs == verb)) for verb in VERBS)):
        page[name] = _latencies(latency_ms[chosen])
    return page


def _latencies(latency_ms: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> dict[str, float | int]:
    if not latency_ms.size:
        return {"count": 0}
    p50_ms, p99_ms = np.percentile(latency_ms, [50, 99])
    return {
        "count": int(latency_ms.size),
        "p50_ms": _ms(p50_ms),
        "p99_ms": _ms(p99_ms),
        "max_ms": _ms(latency_ms.max()),
    }


def _ms(value: float) -> float:
    return round(float(value), 3)
