"""`python -m streaming.bench.transport`: small records appended to a broker, and the way from append to consumer.

Each round measures the floor (a bare file that takes the same bytes, synced each 50 ms) beside the broker; the result
is the median round. Latency runs from the planned send time to the consuming processor. What was stored is read back.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4
from zlib import crc32

import numpy as np

from streaming.app import RoleApp
from streaming.flow import Flow, FlowContext
from streaming.settings import Settings
from streaming.transport.client import BrokerClient, Record, TopicSpec
from streaming.transport.connect import connect
from streaming.transport.frames import HEADER_BYTES

BAR_PER_S = 200_000
VALUE_BYTES = 100
KEY = b"key"
TASKS = 64
BATCH = 500
ROUNDS = 3
SYNC_EACH_S = 0.05
LATENCY_RATE = 1_000
LATENCY_S = 3.0
WARM_UP_S = 1.0
WAIT_S = 60.0
POLL_S = 0.01


def floor_per_s(folder: Path, records: int, at_once: int) -> float:
    """Return records/s of a bare file, `at_once` in each write, with fdatasync each 50 ms in another thread."""
    data = bytes(HEADER_BYTES + len(KEY) + VALUE_BYTES) * at_once
    path = folder / "floor"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    done = threading.Event()

    def sync() -> None:
        while not done.wait(SYNC_EACH_S):
            os.fdatasync(fd)

    syncer = threading.Thread(target=sync)
    syncer.start()
    start = time.perf_counter()
    for _ in range(records // at_once):
        os.write(fd, data)
    took_s = time.perf_counter() - start
    done.set()
    syncer.join()
    os.close(fd)
    path.unlink()
    return records / took_s


async def append_per_s(client: BrokerClient, topic: str, values: Sequence[bytes], at_once: int) -> tuple[float, float]:
    """Append one record each call from 64 tasks, or `at_once` each call from one task.

    Return acknowledged records/s of wall time, and the CPU time of this process in us for each record.
    """
    messages = [(KEY, value) for value in values]
    start, cpu_start = time.perf_counter(), time.process_time()
    if at_once > 1:
        for first in range(0, len(messages), at_once):
            await client.append(topic, 0, messages[first : first + at_once])
    else:

        async def work(number: int) -> None:
            for message in messages[number::TASKS]:
                await client.append(topic, 0, (message,))

        await asyncio.gather(*(work(number) for number in range(TASKS)))
    took_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
    return len(messages) / took_s, cpu_s / len(messages) * 1e6


async def check_stored(client: BrokerClient, topic: str, values: Sequence[bytes], *, ordered: bool) -> None:
    """Compare count and CRC of what the topic holds with what was appended; raise `RuntimeError`."""
    stored = [record.value or b"" async for record in client.read(topic, 0, 0, 1 << 60)]
    want, got = (values, stored) if ordered else (sorted(values), sorted(stored))
    if len(got) != len(want) or crc32(b"".join(got)) != crc32(b"".join(want)):
        raise RuntimeError(f"{topic}: {len(got)} records stored, {len(want)} appended, or their contents differ")


class Arrivals:
    """A processor that notes when each numbered record arrives."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}

    async def open(self) -> int | None:
        """Have nothing to restore."""
        return None

    async def process(self, records: Sequence[Record]) -> int | None:
        """Note the arrivals."""
        now = time.perf_counter()
        for record in records:
            self.at[int(record.value or b"-1")] = now
        return records[-1].offset + 1

    async def tick(self) -> int | None:
        """Have nothing that is due."""
        return None

    async def close(self) -> int | None:
        """Have nothing to flush."""
        return None

    def stats(self) -> Mapping[str, Any]:
        """Return the count."""
        return {"records": len(self.at)}


async def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds; raise `TimeoutError` when it does not in time."""
    for _ in range(int(WAIT_S / POLL_S)):
        if condition():
            return
        await asyncio.sleep(POLL_S)
    raise TimeoutError(f"not there after {WAIT_S} s")


async def latency_ms(client: BrokerClient, settings: Settings, topic: str, seconds: float) -> dict[str, float]:
    """Return P50 and P99 in ms from planned append to the processor of a running role, at 1,000 records/s."""
    arrivals = Arrivals()
    flow = Flow(f"bench-{topic}", topic, lambda *_: arrivals)
    role = RoleApp(flow, FlowContext(settings, settings.home, client))
    await role.start()
    await until(lambda: role.ready)
    count = int((WARM_UP_S + seconds) * LATENCY_RATE)
    start = time.perf_counter() + 0.05
    planned = [start + number / LATENCY_RATE for number in range(count)]
    pending = set()
    for number, due in enumerate(planned):
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        pending.add(asyncio.create_task(client.append(topic, 0, ((KEY, b"%d" % number),))))
    await asyncio.gather(*pending)
    await until(lambda: len(arrivals.at) == count)
    await role.stop()
    warm = int(WARM_UP_S * LATENCY_RATE)
    taken = [(arrivals.at[n] - planned[n]) * 1e3 for n in range(warm, count)]
    return {"p50": round(float(np.percentile(taken, 50)), 3), "p99": round(float(np.percentile(taken, 99)), 3)}


async def measure(url: str, home: Path, records: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Run all rounds on one broker."""
    settings = Settings(home=home, broker=url)
    client = connect(settings.broker_url, fsync="batch")
    await client.start()
    run = uuid4().hex[:8]
    values = [b"%0*d" % (VALUE_BYTES, number) for number in range(records)]
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds + 1):
        for name, at_once in (("single", 1), ("batch", BATCH)):
            topic = f"bench-{run}-{name}-{number}"
            await client.create_topics([TopicSpec(topic, 1)])
            floor = floor_per_s(home, records, at_once)
            rate, cpu_us = await append_per_s(client, topic, values, at_once)
            await check_stored(client, topic, values, ordered=at_once > 1)
            if number > 0:
                found[f"{name}_floor_per_s"].append(floor)
                found[f"{name}_per_s"].append(rate)
                found[f"{name}_cpu_us"].append(cpu_us)
    topic = f"bench-{run}-latency"
    await client.create_topics([TopicSpec(topic, 1)])
    latency = await latency_ms(client, settings, topic, seconds)
    await client.stop()
    medians = {name: round(median(taken), 2) for name, taken in found.items()}
    return {
        "broker": url.split(":")[0],
        "records": records,
        **medians,
        "latency_ms": latency,
        "latency_rate": LATENCY_RATE,
    }


def machine() -> dict[str, Any]:
    """Describe where this ran."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {"cpus": os.cpu_count(), "model": model, "python": platform.python_version()}


async def _all(options: argparse.Namespace, home: Path) -> list[dict[str, Any]]:
    urls = ["log://", *([options.kafka] if options.kafka else [])]
    return [await measure(url, home, options.records, options.rounds, options.seconds) for url in urls]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit 1 when log:// misses its bar."""
    parser = argparse.ArgumentParser(
        prog="python -m streaming.bench.transport", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--records", type=int, default=200_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="behind a warm-up round")
    parser.add_argument("--seconds", type=float, default=LATENCY_S, help="of the latency run, behind a warm-up")
    parser.add_argument("--kafka", metavar="URL", help="measure this Kafka too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    home = Path(tempfile.mkdtemp(prefix="bench-transport-"))
    try:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            brokers = runner.run(_all(options, home))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    log = brokers[0]
    passed = min(log["single_per_s"], log["batch_per_s"]) >= BAR_PER_S
    result = {
        "bench": "transport",
        "bar": {"append_per_s": BAR_PER_S, "fsync": "batch"},
        "machine": machine(),
        "brokers": brokers,
        "passed": passed,
    }
    _print(result, as_json=options.json)
    return 0 if passed else 1


def _print(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        json.dump(result, sys.stdout)
        print()
        return
    print("{cpus} cpus, {model}, Python {python}".format(**result["machine"]))
    for broker in result["brokers"]:
        for name, how in (("single", "one record each call"), ("batch", f"{BATCH} records each call")):
            rate, floor = broker[f"{name}_per_s"], broker[f"{name}_floor_per_s"]
            print(
                f"{broker['broker']:5} {how:22} {rate:>11,.0f}/s   {broker[f'{name}_cpu_us']:6.2f} us CPU each   "
                f"bare file {floor:>11,.0f}/s   {rate / floor:6.1%}"
            )
        latency = broker["latency_ms"]
        way = f"to a role at {LATENCY_RATE}/s"
        print(f"{broker['broker']:5} {way:22} P50 {latency['p50']} ms   P99 {latency['p99']} ms")
    print(f"log:// {'holds' if result['passed'] else 'MISSES'} {BAR_PER_S:,} records/s")


if __name__ == "__main__":
    raise SystemExit(main())
