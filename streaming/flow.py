"""What a role is, as the runtime sees it: a processor for each input partition. Knows no Faust and no broker."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from streaming.settings import Settings
from streaming.transport.client import BrokerClient, Record

Observe = Callable[[str, float], None]


def ignore(name: str, value: float) -> None:
    """Drop an observation: the default where nobody measures."""


@dataclass(frozen=True, slots=True)
class FlowContext:
    """What every flow is given: frozen settings, the data folder, the broker, and where latencies go.

    `observe(name, seconds)` takes the names of `telemetry.HISTOGRAMS`; it never blocks.
    """

    settings: Settings
    home: Path
    client: BrokerClient
    observe: Observe = ignore


class Processor(Protocol):
    """One input partition of one role. Effects are durable before an offset is released.

    Each method returns the offset below which the input may be let go (committed to the group), or None for no
    progress. The runtime calls one method at a time. A refused input goes to the dead-letter topic inside the
    processor; an exception means that nothing of this call counts and the process must restart.
    """

    async def open(self) -> int | None:
        """Restore the state; return the first offset that still has to be processed, or None to go on as committed."""

    async def process(self, records: Sequence[Record]) -> int | None:
        """Apply records, in offset order; records below the restored position are skipped."""

    async def tick(self) -> int | None:
        """Do what is due by time; called a few times each second, also when the input is idle."""

    async def close(self) -> int | None:
        """Flush on a clean stop."""

    def stats(self) -> Mapping[str, Any]:
        """Return plain counters for the status page."""


@runtime_checkable
class Revocable(Protocol):
    """A processor that must hear at once that its partition was taken away, before another process goes on with it."""

    def revoked(self) -> None:
        """Do nothing more that a successor cannot shut out. Nothing else is called; a call in hand may end."""


class Service(Protocol):
    """What the processors of a role share in one process."""

    async def start(self, context: FlowContext) -> None:
        """Begin, before the first processor is made."""

    async def stop(self) -> None:
        """End, after the last processor; the broker is still connected."""


ProcessorFactory = Callable[[FlowContext, str, int], Processor]


@dataclass(frozen=True, slots=True)
class Flow:
    """One consuming role: its name (also app id and consumer group), its input topic and its processors.

    `fetch_gap_s` is how long a record may wait for others, so that they are fetched together. `patient` records wait
    until all roles of a process that starts are open: to work them would hold up who is asked first.
    """

    role: str
    topic: str
    factory: ProcessorFactory
    service: Service | None = None
    fetch_gap_s: float = 0.0
    patient: bool = False


class Source(Protocol):
    """A role that only produces, as the gateway does. It has no input topic, hence no Faust app."""

    async def run(self) -> None:
        """Produce until the input ends or `stop` was called; all that was sent is acknowledged on return."""

    async def stop(self) -> None:
        """Take no new input; `run` then returns."""

    def stats(self) -> Mapping[str, Any]:
        """Return `name`, `venue`, `drained`, `clock_ns`, `frames` and `ticks`, as /status shows them under `feed`."""


SourceFactory = Callable[[FlowContext], Source]


@dataclass(frozen=True, slots=True)
class SourceFlow:
    """One producing role."""

    role: str
    factory: SourceFactory
