"""A feed whose frames a test gives it."""

from collections.abc import AsyncIterator, Mapping, Sequence

from streaming.adapters.feed import FeedError
from trading.messages import Reject


class FakeFeed:
    """Yields `given` from `start_seq` on; raises `error` at its end; `rejects` come before the frame of that number."""

    def __init__(
        self,
        given: Sequence[bytes],
        *,
        name: str = "fake",
        finite: bool = True,
        rejects: Mapping[int, Sequence[Reject]] | None = None,
        error: FeedError | None = None,
    ) -> None:
        self.name, self.venue = name, "SIM"
        self.started_at: list[int] = []
        self.yielded = 0
        self.closed = False
        self._given, self._finite, self._error = given, finite, error
        self._rejects = dict(rejects or {})
        self._waiting: Sequence[Reject] = ()

    async def frames(self, start_seq: int) -> AsyncIterator[bytes]:
        """Yield the frames."""
        self.started_at.append(start_seq)
        for seq, payload in list(enumerate(self._given))[start_seq:]:
            if self.closed:
                return
            self._waiting = self._rejects.get(seq, ())
            self.yielded += 1
            yield payload
        if self._error is not None:
            raise self._error

    def take_rejects(self) -> Sequence[Reject]:
        """Return what waits."""
        taken, self._waiting = self._waiting, ()
        return taken

    def progress(self) -> float | None:
        """Return a share for a finite feed."""
        return self.yielded / max(1, len(self._given)) if self._finite else None

    async def close(self) -> None:
        """End the frames."""
        self.closed = True
