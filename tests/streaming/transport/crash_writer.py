"""Appends numbered records for ever and prints each number that is acknowledged; the crash tests kill it."""

import asyncio
import sys

from streaming.transport.connect import connect


async def main(url: str, topic: str) -> None:
    """Append from several tasks at once, so that a kill falls into a write of many records."""
    client = connect(url)
    await client.start()
    ends: asyncio.Queue[asyncio.Task[int]] = asyncio.Queue(50)

    async def report() -> None:
        while True:
            sys.stdout.write(f"{await (await ends.get())}\n")
            sys.stdout.flush()

    reporter = asyncio.create_task(report())
    number = await client.end_offset(topic, 0)
    while not reporter.done():
        await ends.put(asyncio.create_task(client.append(topic, 0, [(b"key", b"%d" % number * 50)])))
        number += 1


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
