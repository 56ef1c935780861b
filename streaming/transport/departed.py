"""Members of consumer groups whose process is dead: told to the group at once, which else waits for the session time.

The client id of a member names its process: the machine by boot and process namespace, the process by id and start. So
whoever runs on the same machine can see that it is gone, and nobody can take a living one for dead.
"""

import argparse
import asyncio
import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import LeaveGroupRequest

from streaming.transport.connect import bootstrap_of

PREFIX = "trade"
TRY_S = 5.0
# The field of /proc/PID/stat that holds the start of the process, counted behind the name in brackets.
START_FIELD = 19
_log = structlog.get_logger("departed")


def client_id(pid: int | None = None) -> str:
    """Return the client id of a process, this one by default; just the prefix where the system does not tell."""
    chosen = os.getpid() if pid is None else pid
    machine, started = _machine(), _started(chosen)
    return PREFIX if machine is None or started is None else f"{PREFIX}:{machine}:{chosen}:{started}"


def is_departed(name: str) -> bool:
    """Say whether a client id is that of a process of this machine that has certainly ended."""
    parts = name.split(":")
    if len(parts) != 4 or parts[0] != PREFIX or parts[1] != _machine() or not parts[2].isdigit():
        return False
    return _started(int(parts[2])) != parts[3]


async def evict(url: str, groups: Iterable[str] = ()) -> list[str]:
    """Let dead members of these groups, or of all, leave; return their client ids.

    A broker that does not answer is no error: the session time goes on.
    """
    if url.startswith("log:"):
        return []
    bootstrap = bootstrap_of(url)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(TRY_S * 1e3))
    gone: list[str] = []
    try:
        async with asyncio.timeout(TRY_S):
            await admin.start()
            groups = list(groups) or [name for name, *_ in await admin.list_consumer_groups()]
            found = await asyncio.gather(*(_leave(admin, group) for group in groups))
            gone = [name for names in found for name in names]
    except (KafkaError, TimeoutError, OSError) as error:
        _log.warning("members_not_evicted", broker=bootstrap, reason=repr(error))
    finally:
        await admin.close()
    return gone


async def _leave(admin: AIOKafkaAdminClient, group: str) -> list[str]:
    node = await admin.find_coordinator(group)
    gone = []
    for response in await admin.describe_consumer_groups([group], node):
        for _, _, _, _, _, members, *_ in response.groups:
            for member, name, *_ in members:
                if is_departed(name):
                    await admin._send_request(LeaveGroupRequest(group, member), node)
                    gone.append(name)
                    _log.info("member_evicted", group=group, member=name)
    return gone


def _machine() -> str | None:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        return hashlib.sha256(f"{boot}{Path('/proc/self/ns/pid').readlink()}".encode()).hexdigest()[:12]
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """Return when a process was started, or None if there is none; one that is dead but not reaped is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[START_FIELD]


def main(arguments: Sequence[str] | None = None) -> int:
    """Evict the dead from every group, for the parent that has seen its worker die."""
    parser = argparse.ArgumentParser(prog="python -m streaming.transport.departed", description=__doc__)
    parser.add_argument("broker", help="kafka://HOST:PORT")
    options = parser.parse_args(arguments)
    gone = asyncio.run(evict(options.broker))
    sys.stdout.write("".join(f"{name}\n" for name in gone))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
