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
JOURNAL_V1 = Table(
    name="journal_v1",
    columns=(
        ("date", "date32"),
        ("ts", "timestamp"),
        ("account", "string"),
        ("account_seq", "int64"),
        ("seq", "int64"),
        ("generation", "int64"),
        ("cause", "string"),
        ("kinds", "string"),
        ("events", "int32"),
        ("stale", "bool"),
        ("prev_hash", "string"),
        ("hash", "string"),
        ("payload", "binary"),
        *_SOURCE,
    ),
    partition_by="date",
    key=("src_partition", "src_offset"),
    layer="bronze",
    description="Every journal record, byte for byte, so that the hash chain can be verified. date is UTC.",
)
# Exact: integers in the instrument's scales, cash in 1e-9 of the account's currency.
FILLS_V1 = Table(
    name="fills_v1",
    columns=(
        ("date", "date32"),
        ("ts", "timestamp"),
        ("account", "string"),
        ("instrument", "string"),
        ("order_id", "string"),
        ("side", "string"),
        ("venue", "string"),
        ("trade_id", "string"),
        ("qty", "int64"),
        ("price", "int64"),
        ("qty_scale", "int32"),
        ("price_scale", "int32"),
        ("cost", "int64"),
        ("fee", "int64"),
        ("overfill", "int64"),
        ("late", "bool"),
        ("liquidity", "string"),
        ("status", "string"),
        ("seq", "int64"),
        *_SOURCE,
    ),
    partition_by="date",
    key=("account", "venue", "trade_id"),
    layer="bronze",
    description="Executions as the owner applied them, each once; cost is positive for a buy.",
)
POSITIONS_V1 = Table(
    name="positions_v1",
    columns=(
        ("date", "date32"),
        ("ts", "timestamp"),
        ("account", "string"),
        ("instrument", "string"),
        ("qty", "int64"),
        ("qty_scale", "int32"),
        ("cost", "int64"),
        ("realised", "int64"),
        ("fees", "int64"),
        ("cash", "int64"),
        ("seq", "int64"),
        *_SOURCE,
    ),
    partition_by="date",
    key=("src_partition", "src_offset", "src_row"),
    layer="bronze",
    description="Position and cash of the account after each fill; instrument is empty where only cash has moved.",
)
TABLES = (TICKS_V1, BARS_V1, FRAMES_V1, JOURNAL_V1, FILLS_V1, POSITIONS_V1, CLEAN_TICKS_V1, CLEAN_BARS_V1)

# The order path. All of these have the same number of partitions, so that one worker owns an account on each of them.
ORDERS_COMMANDS = Topic(name="orders.commands", key="account", schema="orders.commands/1", partitions="orders")
ORDERS_JOURNAL = Topic(name="orders.journal", key="account", schema="orders.journal/1", partitions="orders")
ORDERS_STATE = Topic(name="orders.state", key="account", schema="orders.state/3", partitions="orders", compacted=True)
OWNERS = Topic(name="owners", key="source", schema="owners/1", partitions="one", compacted=True)
ORDER_TOPICS = (ORDERS_COMMANDS, ORDERS_JOURNAL, ORDERS_STATE, OWNERS)
