"""A token bucket for each key, kept as one time: each request moves it on, and it may run ahead of now by the burst."""

import math

MAX_KEYS = 10_000


class Limiter:
    """Allows `rate` requests each second and `burst` at once, for each name."""

    def __init__(self, rate: float, burst: int) -> None:
        self._gap_s = 1 / rate
        self._ahead_s = (burst - 1) * self._gap_s
        self._spent_until: dict[str, float] = {}

    def take(self, name: str, now_s: float) -> int:
        """Return 0 if the request may pass, else after how many whole seconds to come again."""
        spent = self._spent_until.get(name, 0.0)
        if spent - now_s > self._ahead_s:
            return max(1, math.ceil(spent - now_s - self._ahead_s))
        if name not in self._spent_until and len(self._spent_until) >= MAX_KEYS:
            self._forget(now_s)
        self._spent_until[name] = max(spent, now_s) + self._gap_s
        return 0

    def _forget(self, now_s: float) -> None:
        self._spent_until = {name: spent for name, spent in self._spent_until.items() if spent > now_s}
        while len(self._spent_until) >= MAX_KEYS:
            self._spent_until.pop(next(iter(self._spent_until)))
