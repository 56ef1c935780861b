"""A client of the order API with a ledger of its own: 500 requests a second at planned times, again what had no answer.

Half of them are orders that rest, three of ten cancel one of those, the others are market orders of other accounts.
"""

import asyncio
import json
import random
from collections import Counter, deque
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from streaming.api.keys import Key
from streaming.bench.order_client import Pool, headers_of, request
from streaming.bench.order_load import Quoting, code_of
from tests.streaming.poll import until

RATE = 500.0
SLOTS = 10
CANCELS, MARKETS = (2, 5, 8), (3, 7)
NO_ANSWER = (0, 429, 503)
PRICES = 5_000
SYMBOL = "BTC/USD"
LAST_ANSWER_S = 60.0


class Wish(NamedTuple):
    """One request: what is wanted, of which order, by whom."""

    verb: str
    name: str
    key: Key
    payload: bytes


class Trader:
    """What was sent, and what was answered to it."""

    def __init__(self, keys: Sequence[Key], quoting: Quoting, seed: int) -> None:
        self.sent: dict[str, Key] = {}
        self.accepted: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.canceled: set[str] = set()
        self.again: deque[Wish] = deque()
        self.codes: Counter[str] = Counter()
        self.contradictions: list[str] = []
        self.answers = 0
        half = len(keys) // 2
        # An account with resting bids could trade with itself.
        self._resting, self._taking = keys[:half], keys[half:]
        self._quoting = quoting
        self._random = random.Random(seed)
        self._open: list[str] = []
        self._number = 0
        self._out = 0

    async def run(self, pool: Pool, stop: asyncio.Event, *, fresh: bool = True) -> None:
        """Send until told to stop, and wait for the last answers; with nothing `fresh` only what has no answer yet."""
        loop = asyncio.get_running_loop()
        begin, turn = loop.time(), 0
        while not stop.is_set():
            await asyncio.sleep(max(0.0, begin + turn / RATE - loop.time()))
            turn += 1
            wish = self.again.popleft() if self.again else self._next() if fresh else None
            if wish is not None:
                self._out += 1
                pool.send(wish.payload, partial(self._answered, wish))
        await until(lambda: not self._out, within_s=LAST_ANSWER_S)

    @property
    def settled(self) -> bool:
        """Say whether everything was answered."""
        return not self.again and not self._out

    def _next(self) -> Wish:
        self._number += 1
        number = self._number
        slot = number % SLOTS
        if slot in CANCELS and self._open:
            name = self._open.pop(self._random.randrange(len(self._open)))
            key = self.sent[name]
            return Wish("cancel", name, key, request("DELETE", f"/v2/orders/{self.accepted[name]}", headers_of(key)))
        name = f"kill-{number}"
        body = {"symbol": SYMBOL, "time_in_force": "gtc", "client_order_id": name}
        if slot in MARKETS:
            key = self._taking[number % len(self._taking)]
            body |= {"type": "market", "qty": f"0.000{1 + number % 9}", "side": self._random.choice(("buy", "sell"))}
        else:
            key = self._resting[number % len(self._resting)]
            price = self._quoting.price(number % PRICES)
            body |= {"type": "limit", "qty": "0.0001", "side": "buy", "limit_price": price}
        self.sent[name] = key
        return Wish("new", name, key, request("POST", "/v2/orders", headers_of(key), json.dumps(body).encode()))

    def _answered(self, wish: Wish, status: int, body: bytes) -> None:
        self._out -= 1
        if status in NO_ANSWER:
            self.codes[code_of(status, body)] += 1
            self.again.append(wish)
            return
        self.answers += 1
        if wish.verb == "cancel":
            if status == 204:
                self.canceled.add(wish.name)
            else:
                # A cancel whose answer was lost, asked again.
                self.codes[f"cancel {code_of(status, body)}"] += 1
        elif status == 200:
            self._note(wish.name, json.loads(body)["id"], self.accepted, self.refused)
            if json.loads(body)["type"] == "limit":
                self._open.append(wish.name)
        else:
            self.codes[code_of(status, body)] += 1
            self._note(wish.name, code_of(status, body), self.refused, self.accepted)

    def _note(self, name: str, what: str, here: dict[str, str], there: dict[str, str]) -> None:
        if name in there or here.get(name, what) != what:
            self.contradictions.append(f"{name}: {what}, before {there.get(name) or here.get(name)}")
        here[name] = what
