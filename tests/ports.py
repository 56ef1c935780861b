"""Ports of the loopback interface that nobody uses, and that the kernel gives to no outgoing connection meanwhile."""

import random
import socket

# Linux takes the ports of outgoing connections from 32768 on: such a port may be gone before its server has started.
LOWEST, HIGHEST = 12_000, 32_000
TRIES = 1_000


def free_ports(count: int) -> list[int]:
    """Return different ports that could be bound a moment ago."""
    probes: list[socket.socket] = []
    try:
        for port in random.SystemRandom().sample(range(LOWEST, HIGHEST), TRIES):
            if len(probes) == count:
                break
            probe = socket.socket()
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                probe.close()
            else:
                probes.append(probe)
        assert len(probes) == count, f"no {count} free ports among {TRIES} of {LOWEST} to {HIGHEST}"
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
