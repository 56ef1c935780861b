"""Topic `owners`: which process has which partition, so that the others can send a caller there."""

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from streaming.transport.client import BrokerClient, BrokerError
from streaming.transport.follow import Follower
from trading.codec import CodecError, decode, encode
from trading.schemas import OWNERS

TAKE_S = 0.5
RETRY_S = 1.0
_log = structlog.get_logger("owners")


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """One take-over, or the word that its owner is `leaving`, and answers until there is another.

    The newest generation of a partition wins, whatever the order of arrival.
    """

    schema: str = "owners/1"
    partition: int
    generation: int
    url: str
    leaving: bool = False


class Owners:
    """What is known of all partitions."""

    def __init__(self, client: BrokerClient, heard: Callable[[Owner], None] = lambda _: None) -> None:
        """Take who wants to hear of each announcement."""
        self._client = client
        self._heard = heard
        self._known: dict[int, Owner] = {}

    def url_of(self, partition: int) -> str | None:
        """Return where the owner answers, or None."""
        owner = self._known.get(partition)
        return None if owner is None else owner.url

    def has_heir(self, url: str) -> bool:
        """Say whether another process may take over from the one at `url`: not if all that are known leave too."""
        others = [owner for owner in self._known.values() if owner.url != url]
        return not others or any(not owner.leaving for owner in others)

    def hear(self, owner: Owner) -> None:
        """Take one announcement."""
        before = self._known.get(owner.partition)
        if before is None or owner.generation >= before.generation:
            self._known[owner.partition] = owner
            self._heard(owner)

    async def announce(self, owner: Owner) -> None:
        """Tell everybody; without an answer of the broker the callers just take longer to find the owner."""
        self.hear(owner)
        try:
            await self._client.append(OWNERS.name, 0, [(str(owner.partition).encode(), encode(owner))])
        except BrokerError as error:
            _log.warning("owner_not_announced", partition=owner.partition, code=error.code, reason=str(error))

    async def leave(self, url: str) -> None:
        """Tell everybody that the process at `url` stops."""
        for owner in list(self._known.values()):
            if owner.url == url:
                await self.announce(msgspec.structs.replace(owner, leaving=True))

    async def keep_reading(self, follower: Follower) -> None:
        """Hear announcements for ever."""
        while True:
            try:
                records = await follower.take(TAKE_S)
            except BrokerError as error:
                _log.warning("owners_not_read", code=error.code, reason=str(error))
                await follower.stop()
                await asyncio.sleep(RETRY_S)
                continue
            for record in records:
                try:
                    self.hear(decode(record.value or b"", Owner))
                except CodecError as error:
                    _log.warning("owner_unreadable", offset=record.offset, reason=str(error))
