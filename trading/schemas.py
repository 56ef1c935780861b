"""Topics and lake tables as data: names, keys, columns, partitions, dedup keys. Every writer and reader shares it."""

from typing import Literal

import msgspec

Key = Literal["venue", "shard", "symbol", "source", "account"]
Partitions = Literal["one", "raw", "market", "orders"]


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One topic. `partitions` names the setting that holds the count; `retention_bytes` bounds one partition."""

    name: str
    key: Key
    schema: str
    partitions: Partitions
    compacted: bool = False
    retention_bytes: int = 4 << 30


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One lake table. Columns are (name, Arrow type name); times are always timestamp[us, UTC]."""

    name: str
    columns: tuple[tuple[str, str], ...]
    partition_by: str
    key: tuple[str, ...]
    layer: Literal["bronze", "clean"]
    description: str


TICKS_RAW = Topic(name="ticks.raw", key="venue", schema="ticks.raw/1", partitions="raw")
TICKS = Topic(name="ticks", key="shard", schema="ticks/1", partitions="market")
BARS = Topic(name="bars", key="shard", schema="bars/1", partitions="market")
PRICES = Topic(name="prices", key="symbol", schema="prices/1", partitions="market", compacted=True)
DEADLETTER = Topic(name="deadletter", key="source", schema="deadletter/1", partitions="one")
TOPICS = (TICKS_RAW, TICKS, BARS, PRICES, DEADLETTER)

# The raw message that caused a row. (src_partition, src_offset, src_row) is unique in a bronze table.
_SOURCE = (("src_partition", "int32"), ("src_offset", "int64"), ("src_row", "int32"))
_TICK = (
    ("date", "date32"),
    ("ts", "timestamp"),
    ("instrument", "string"),
    ("kind", "string"),
    ("trade_id", "int64"),
    ("price", "float64"),
    ("qty", "float64"),
    ("bid", "float64"),
    ("bid_qty", "float64"),
    ("ask", "float64"),
    ("ask_qty", "float64"),
    ("exchange", "string"),
    ("condition", "string"),
    ("flags", "int32"),
    ("recv_ts", "timestamp"),
)
_BAR = (
    ("date", "date32"),
    ("ts", "timestamp"),
    ("instrument", "string"),
    ("interval", "string"),
    ("open", "float64"),
    ("high", "float64"),
    ("low", "float64"),
    ("close", "float64"),
    ("volume", "float64"),
    ("trades", "int64"),
    ("flags", "int32"),
    ("revision", "int32"),
)

TICKS_V1 = Table(
    name="ticks_v1",
    columns=_TICK + _SOURCE,
    partition_by="date",
    key=("src_partition", "src_offset", "src_row"),
    layer="bronze",
    description="Normalised trades and quotes as the normaliser accepted them. date is the session date.",
)
BARS_V1 = Table(
    name="bars_v1",
    columns=_BAR + _SOURCE,
    partition_by="date",
    key=("instrument", "interval", "ts", "revision"),
    layer="bronze",
    description="Every revision of every closed bar; ts is the start of the bar.",
)
FRAMES_V1 = Table(
    name="frames_v1",
    columns=(("date", "date32"), ("recv_ts", "timestamp"), ("feed", "string"), ("payload", "binary"), *_SOURCE),
    partition_by="date",
    key=("src_partition", "src_offset", "src_row"),
    layer="bronze",
    description="Raw frames byte for byte as the gateway received them, so that any outage can be replayed.",
)
CLEAN_TICKS_V1 = Table(
    name="clean_ticks_v1",
    columns=_TICK,
    partition_by="date",
    key=("instrument", "kind", "ts", "trade_id"),
    layer="clean",
    description="One day of ticks in order of (instrument, ts, trade_id), each once.",
)
CLEAN_BARS_V1 = Table(
    name="clean_bars_v1",
    columns=_BAR,
    partition_by="date",
    key=("instrument", "interval", "ts"),
    layer="clean",
    description="The latest revision of every bar of one day.",
)
TABLES = (TICKS_V1, BARS_V1, FRAMES_V1, CLEAN_TICKS_V1, CLEAN_BARS_V1)

# The order path. All of these have the same number of partitions, so that one worker owns an account on each of them.
ORDERS_COMMANDS = Topic(name="orders.commands", key="account", schema="orders.commands/1", partitions="orders")
ORDERS_JOURNAL = Topic(name="orders.journal", key="account", schema="orders.journal/1", partitions="orders")
ORDERS_STATE = Topic(name="orders.state", key="account", schema="orders.state/1", partitions="orders", compacted=True)
OWNERS = Topic(name="owners", key="source", schema="owners/1", partitions="one", compacted=True)
ORDER_TOPICS = (ORDERS_COMMANDS, ORDERS_JOURNAL, ORDERS_STATE, OWNERS)
