"""A control for a partition that this process does not own: sent by the command topic, answered from the journal.

The command is durable as soon as the broker has it. Whoever owns the partition, or takes it over next, decides it.
"""

import asyncio
import time

from streaming.owner.desk import Answer, NotReady
from streaming.owner.journal_fold import JournalReader
from streaming.transport.client import BrokerClient, BrokerError
from trading.commands import AnyCommand, encode_command
from trading.events import AnyEvent
from trading.schemas import ORDERS_COMMANDS, ORDERS_JOURNAL

WAIT_S = 5.0
POLL_S = 0.02


async def send(client: BrokerClient, number: int, command: AnyCommand) -> Answer:
    """Return what the owner of a partition decided, once that is durable; raise `NotReady` if nobody did in time."""
    try:
        seen = await client.end_offset(ORDERS_JOURNAL.name, number)
        pair = (command.account.encode(), encode_command(command))
        offset = await client.append(ORDERS_COMMANDS.name, number, [pair])
        return await _answer(client, number, seen, f"{ORDERS_COMMANDS.name}:{number}:{offset}")
    except BrokerError as error:
        raise NotReady(number, f"partition {number} is elsewhere, and the broker says {error.code}: {error}") from None


async def _answer(client: BrokerClient, number: int, seen: int, cause: str) -> Answer:
    reader, events = JournalReader(), list[AnyEvent]()
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        end = await client.end_offset(ORDERS_JOURNAL.name, number)
        async for message in client.read(ORDERS_JOURNAL.name, number, seen, end):
            seen = message.offset + 1
            record = reader.take(message)
            if record is None or record.cause.partition("/")[0] != cause:
                continue
            events += record.events
            # All records of a command but its last name a part of the cause.
            if record.cause == cause:
                return Answer(seq=record.seq, events=tuple(events), ts_ns=record.ts_ns, account_seq=record.account_seq)
        await asyncio.sleep(POLL_S)
    raise NotReady(
        number, f"partition {number} is elsewhere; its owner has the command in its topic, and has not answered yet"
    )
