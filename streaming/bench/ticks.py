"""The whole path, feed -> gateway -> broker -> normaliser -> acknowledged ticks and bars: `trade bench ticks`.

Open loop: every tick has a planned time, whatever the path does, and its latency runs from there to the moment when
the broker has acknowledged the last message derived from its frame. All roles share one process, as `trade up` does.
Counting begins behind a warm-up, which begins when the normaliser has read again what the broker held before the run.
"""

import argparse
import asyncio
import gc
import json
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from streaming.adapters.feed_sim import SimFeed
from streaming.flow import Flow, FlowContext, SourceFlow
from streaming.flows.ingest import Ingest
from streaming.platform import Platform
from streaming.settings import FeedSettings, HttpSettings, Settings
from streaming.transport.client import BrokerClient, Record, Span, TopicSpec
from streaming.transport.connect import connect
from streaming.worker import GC_THRESHOLD, take_small_pages
from trading.market.batches import Array, BarBatch, TickBatch
from trading.schemas import BARS, TICKS, TICKS_RAW

WARM_UP_S = 2.0
FRAMES_ON_THE_WAY = 16
# Half of it is in the median; below 3 ms the frames cost more than they save.
LINGER_MS = 3.0
P50_BAR_MS, P99_BAR_MS = 5.0, 20.0
SINKS = ("sink_ticks", "sink_bars", "sink_frames")
_BATCHES: dict[str, type[TickBatch | BarBatch]] = {TICKS.name: TickBatch, BARS.name: BarBatch}


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Latencies are over all ticks after the warm-up; `behind` counts ticks that never came out.

    `ready_s` is how long the roles took to start and to come to the end of the topic.
    """

    broker: str
    sinks: bool
    rate: float
    ticks: int
    ticks_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    behind: int
    ready_s: float
    warm_up_s: float


class Probe:
    """A broker client that notes when each derived message was acknowledged."""

    def __init__(self, client: BrokerClient) -> None:
        self._client = client
        self.acked: list[tuple[str, int, bytes]] = []
        self.raw_end = 0

    async def start(self) -> None:
        """Connect."""
        await self._client.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._client.stop()

    async def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Create what is missing."""
        await self._client.create_topics(topics)

    async def append(self, topic: str, partition: int, messages: Sequence[tuple[bytes | None, bytes | None]]) -> int:
        """Append, and note the time of the acknowledgement."""
        first = await self._client.append(topic, partition, messages)
        if topic in _BATCHES:
            now_ns = time.time_ns()
            self.acked.extend((topic, now_ns, payload or b"") for _, payload in messages)
        elif topic == TICKS_RAW.name:
            self.raw_end = first + len(messages)
        return first

    def read(self, topic: str, partition: int, start: int, stop: int) -> AsyncIterator[Record]:
        """Read."""
        return self._client.read(topic, partition, start, stop)

    async def begin_offset(self, topic: str, partition: int) -> int:
        """Return the oldest offset."""
        return await self._client.begin_offset(topic, partition)

    async def end_offset(self, topic: str, partition: int) -> int:
        """Return the next offset."""
        return await self._client.end_offset(topic, partition)

    async def spans(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Span]:
        """Return what partitions hold."""
        return await self._client.spans(partitions)

    async def committed(self, group: str, topic: str, partition: int) -> int | None:
        """Return what a group reads next."""
        return await self._client.committed(group, topic, partition)

    async def all_committed(self, group: str, topic: str, partitions: Sequence[int]) -> dict[int, int | None]:
        """Return what a group reads next of partitions."""
        return await self._client.all_committed(group, topic, partitions)


async def measure(settings: Settings, seconds: float, *, sinks: bool) -> Run:
    """Run the path for `seconds` behind a warm-up and return what was measured."""
    probes: list[Probe] = []
    sources: list[Ingest] = []

    def probed(url: str, **options: Any) -> BrokerClient:
        probes.append(Probe(connect(url, **options)))
        return probes[-1]

    def ingest(context: FlowContext) -> Ingest:
        sources.append(Ingest(context, SimFeed(settings.feed)))
        return sources[-1]

    names = ("normalize", *SINKS) if sinks else ("normalize",)
    consuming: list[Flow] = [import_module(f"streaming.flows.{name}").FLOW for name in names]
    platform = Platform(settings, [SourceFlow("ingest", ingest), *consuming], probed)
    thresholds = gc.get_threshold()
    try:
        await platform.start()
        gc.collect()
        gc.freeze()
        # As a worker does it.
        gc.set_threshold(*GC_THRESHOLD)
        started = time.monotonic()
        await platform.watch(lambda: _caught_up(platform, probes[0]))
        begin = time.monotonic()
        counted_ns = time.time_ns() + int(WARM_UP_S * 1e9)
        await platform.watch(lambda: time.monotonic() - begin >= WARM_UP_S + seconds)
        await platform.drain()
    finally:
        await platform.stop()
        gc.unfreeze()
        gc.set_threshold(*thresholds)
    run = _summary(settings, probes[0], int(sources[0].stats()["ticks"]), counted_ns)
    return replace(run, sinks=sinks, ready_s=round(begin - started, 1))


def _caught_up(platform: Platform, probe: Probe) -> bool:
    """Tell whether the roles are ready and the normaliser is at the end of the topic but for what is on its way."""
    if platform.board.state != "ready":
        return False
    position = max(int(stats["position"]) for stats in platform.board.flows()["normalize"].values())
    return position >= probe.raw_end - FRAMES_ON_THE_WAY > 0


def _summary(settings: Settings, probe: Probe, sent: int, counted_ns: int) -> Run:
    done: dict[str, int] = {}
    ticks: list[tuple[str, Array]] = []
    for topic, now_ns, payload in probe.acked:
        batch = _BATCHES[topic].decode(payload)
        source = str(batch.src)
        done[source] = max(done.get(source, 0), now_ns)
        if isinstance(batch, TickBatch):
            ticks.append((source, batch.ts_ns))
    planned = np.concatenate([ts for _, ts in ticks])
    latency_ms = np.concatenate([done[source] - ts for source, ts in ticks]) / 1e6
    kept = planned >= counted_ns
    span_s = (planned[kept].max() - planned[kept].min()) / 1e9
    p50_ms, p99_ms = np.percentile(latency_ms[kept], [50, 99])
    return Run(
        broker=settings.broker_url.partition(":")[0],
        sinks=False,
        rate=settings.feed.rate,
        ticks=int(kept.sum()),
        ticks_per_s=round(float(kept.sum() / span_s)),
        p50_ms=round(float(p50_ms), 3),
        p99_ms=round(float(p99_ms), 3),
        max_ms=round(float(latency_ms[kept].max()), 3),
        behind=sent - len(planned),
        ready_s=0.0,
        warm_up_s=WARM_UP_S,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit 1 when a bar is missed or a tick is."""
    parser = argparse.ArgumentParser(
        prog="python -m streaming.bench.ticks", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--rate", type=float, default=100_000.0, help="ticks a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run, behind a warm-up")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--linger-ms", type=float, default=LINGER_MS, help="when a frame is closed, at the latest")
    parser.add_argument("--broker", default="log://", help="log://[PATH] or kafka://host:port")
    parser.add_argument("--sinks", choices=("off", "on", "both"), default="both")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    home = Path(tempfile.mkdtemp(prefix="bench-ticks-"))
    try:
        result = _with_uvloop(options, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    _print(result, as_json=options.json)
    return 0 if result["passed"] else 1


def _with_uvloop(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    import uvloop

    # As a worker does it.
    take_small_pages()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_all(options, home))


async def _all(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    feed = FeedSettings(rate=options.rate, burst=1, linger_ms=options.linger_ms)
    settings = Settings(home=home, broker=options.broker, feed=feed, http=HttpSettings(port=0))
    wanted = {"off": [False], "on": [True], "both": [False, True]}[options.sinks]
    runs = [await measure(settings, options.seconds, sinks=sinks) for sinks in wanted for _ in range(options.runs)]
    medians = []
    for sinks in wanted:
        own = [run for run in runs if run.sinks == sinks]
        p50_ms, p99_ms = (float(np.median([getattr(run, name) for run in own])) for name in ("p50_ms", "p99_ms"))
        held = p50_ms < P50_BAR_MS and p99_ms < P99_BAR_MS and not any(run.behind for run in own)
        medians.append({"sinks": sinks, "p50_ms": p50_ms, "p99_ms": p99_ms, "held": held})
    return {
        "bench": "ticks",
        "bar": {"p50_ms": P50_BAR_MS, "p99_ms": P99_BAR_MS, "ticks_per_s": options.rate},
        "linger_ms": options.linger_ms,
        "runs": [asdict(run) for run in runs],
        "medians": medians,
        "passed": all(median["held"] for median in medians),
    }


def _print(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        json.dump(result, sys.stdout)
        print()
        return
    for run in result["runs"]:
        print(
            f"{run['broker']:5} sinks {'on ' if run['sinks'] else 'off'} {run['ticks_per_s']:>9,}/s  "
            f"P50 {run['p50_ms']:7.2f} ms  P99 {run['p99_ms']:7.2f} ms  max {run['max_ms']:8.2f} ms  "
            f"missing {run['behind']}  (ready in {run['ready_s']:.1f} s, warm-up {run['warm_up_s']:.1f} s, not counted)"
        )
    for median in result["medians"]:
        word = "holds" if median["held"] else "MISSES"
        print(f"sinks {'on ' if median['sinks'] else 'off'}: {word} P50 < {P50_BAR_MS} ms, P99 < {P99_BAR_MS} ms")


if __name__ == "__main__":
    raise SystemExit(main())
