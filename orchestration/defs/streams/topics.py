"""The feed and the topics as external assets: written by the streaming process, observed here."""

import dagster as dg

from orchestration.catalog import ORDERS_OWNER, OWNER, STREAMS, feed_key, topic_key
from trading.schemas import BARS, DEADLETTER, ORDERS_COMMANDS, ORDERS_JOURNAL, PRICES, TICKS, TICKS_RAW, Topic

_ABOUT = {
    TICKS_RAW.name: "Frames of the feed as the gateway received them, in Arrow batches of up to 1,000 ticks.",
    TICKS.name: "Normalised trades and quotes: validated, deduplicated, integer amounts, flagged.",
    BARS.name: "Closed bars of 1m, 5m, 15m, 1h and 1d. A late tick makes a new revision, never a silent edit.",
    PRICES.name: "The newest bid, ask and last of each instrument, conflated to 100 ms.",
    ORDERS_COMMANDS.name: "The one input of the owners: commands of strategies and tools, and reports of venues.",
    ORDERS_JOURNAL.name: "One record for each command that was decided, chained by hash: the truth of the order path.",
    DEADLETTER.name: "Everything that was refused, with a stable code and the place where it can be read again.",
}


def _topic(topic: Topic, cause: dg.AssetKey, owner: str = OWNER) -> dg.AssetSpec:
    return dg.AssetSpec(
        topic_key(topic),
        deps=[cause],
        group_name=STREAMS,
        description=_ABOUT[topic.name],
        owners=[owner],
        kinds={"kafka"},
        tags={"stage": STREAMS, "schema": topic.schema.replace("/", "_v")},
        metadata={
            "topic": topic.name,
            "key": topic.key,
            "schema": topic.schema,
            "compacted": topic.compacted,
            "retention_bytes": topic.retention_bytes,
        },
    )


@dg.definitions
def topics() -> dg.Definitions:
    """Return the feed, the topics of market data, and those of the order path that people read."""
    feed = dg.AssetSpec(
        feed_key(),
        group_name=STREAMS,
        description="The source of market data: the simulated exchange, or the replay of a file. It owns the clock.",
        owners=[OWNER],
        kinds={"python"},
        tags={"stage": STREAMS},
    )
    derived = [_topic(topic, topic_key(TICKS_RAW)) for topic in (TICKS, BARS, PRICES, DEADLETTER)]
    orders = [
        _topic(ORDERS_COMMANDS, topic_key(BARS), ORDERS_OWNER),
        _topic(ORDERS_JOURNAL, topic_key(ORDERS_COMMANDS), ORDERS_OWNER),
    ]
    return dg.Definitions(assets=[feed, _topic(TICKS_RAW, feed_key()), *derived, *orders])
