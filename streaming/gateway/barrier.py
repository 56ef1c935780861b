"""A moment of the commands, and whether everything reported before it has come back through the journal."""

from streaming.transport.client import BrokerClient
from trading.schemas import ORDERS_COMMANDS, ORDERS_JOURNAL

OWNER = "orders"


class Barrier:
    """Passed when the owner has worked every command before `commands_end`, and its journal is read up to there."""

    def __init__(self, client: BrokerClient, partition: int, commands_end: int) -> None:
        self._client, self._partition, self._commands_end = client, partition, commands_end
        self._journal_end: int | None = None

    async def passed(self, position: int) -> bool:
        """Say so for a reader of the journal that stands at `position`."""
        if self._journal_end is None:
            worked = await self._client.committed(OWNER, ORDERS_COMMANDS.name, self._partition) or 0
            if worked < self._commands_end:
                return False
            self._journal_end = await self._client.end_offset(ORDERS_JOURNAL.name, self._partition)
        return position >= self._journal_end
