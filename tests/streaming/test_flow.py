"""A context needs no metrics, and the flows of the tests fit the protocols that the runtime drives."""

from pathlib import Path

from streaming.flow import Flow, FlowContext, Processor, Source, SourceFlow
from streaming.settings import Settings
from tests.streaming.memory_broker import MemoryBroker
from tests.streaming.probe_flow import FLOW, SOURCE


async def test_a_context_without_metrics_drops_observations(tmp_path: Path) -> None:
    context = FlowContext(Settings(home=tmp_path), tmp_path, MemoryBroker())
    context.observe("commit_seconds", 0.1)


async def test_the_probe_flows_fit_the_protocols(tmp_path: Path) -> None:
    context = FlowContext(Settings(home=tmp_path), tmp_path, MemoryBroker())
    flow: Flow = FLOW
    source_flow: SourceFlow = SOURCE
    processor: Processor = flow.factory(context, flow.topic, 0)
    source: Source = source_flow.factory(context)
    assert await processor.open() is None
    assert processor.stats()["pending_rows"] == 0
    assert source.stats()["drained"]
