"""Settings: `trade.toml`, overridden by `TRADE_*` variables. Typed, frozen; a mistake names file, key and rule."""

import ipaddress
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from trading.instruments import CATALOGUE, Instrument, InstrumentTable

EXIT_CONFIG = 78
ENV_PREFIX = "TRADE_"
ENV_NESTED = "__"
# Where a refused value is from, until `ConfigError.located` tells.
SETTINGS = "settings"
Port = Annotated[int, Field(ge=0, le=65535)]


class ConfigError(Exception):
    """A configuration that is refused: where, which key, which rule."""

    def __init__(self, where: str, key: str, rule: str) -> None:
        super().__init__(f"{where}: {key}: {rule}")
        self.where, self.key, self.rule = where, key, rule

    def located(self, path: Path | None, overrides: Mapping[str, str]) -> Self:
        """Return the error of a value that was refused after it was loaded, with the place that it came from.

        `overrides` names the options of the command line by the key that they win over.
        """
        if self.where != SETTINGS:
            return self
        if self.key in overrides:
            return type(self)("command line", overrides[self.key], self.rule)
        variable = _variable(self.key.split("."))
        if variable is not None:
            return type(self)("environment", variable, self.rule)
        return type(self)(str(path) if path is not None else "defaults", self.key, self.rule)


class Section(BaseModel):
    """A part of the settings. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Share = Annotated[float, Field(ge=0, le=1)]


class FaultSettings(Section):
    """What the simulated exchange does wrong: shares of frames for the first five, of rows for the others."""

    gap: Share = 0.0
    resend: Share = 0.0
    wrong_schema: Share = 0.0
    oversize: Share = 0.0
    flip: Share = 0.0
    duplicate: Share = 0.0
    late: Share = 0.0
    nan: Share = 0.0
    negative: Share = 0.0
    jump: Share = 0.0
    future: Share = 0.0
    past: Share = 0.0
    unknown_symbol: Share = 0.0


class FeedSettings(Section):
    """Where ticks come from: `sim` or `replay:FILE`.

    A `rate` of 0 simulates in virtual time as fast as possible; `ticks` ends the simulation, 0 never.
    """

    source: Annotated[str, Field(pattern=r"^(sim|replay:.+)$")] = "sim"
    seed: Annotated[int, Field(ge=0)] = 7
    rate: Annotated[float, Field(ge=0, le=5_000_000)] = 2_000.0
    ticks: Annotated[int, Field(ge=0)] = 0
    burst: Annotated[float, Field(ge=1, le=10)] = 4.0
    faults: FaultSettings = FaultSettings()
    speed: Annotated[float, Field(ge=0)] = 0.0
    batch_rows: Annotated[int, Field(ge=1, le=1_000)] = 1_000
    linger_ms: Annotated[float, Field(gt=0, le=1_000)] = 5.0


class MarketSettings(Section):
    """How ticks become bars. Partition counts cannot change once topics exist.

    Each partition of these topics keeps about `retention_mb`. On Kafka it counts when a topic is created.
    """

    raw_partitions: Annotated[int, Field(ge=1, le=64)] = 1
    shards: Annotated[int, Field(ge=1, le=64)] = 2
    allowed_lateness_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 2_000
    stale_after_ms: Annotated[int, Field(ge=1)] = 5_000
    future_tolerance_ms: Annotated[int, Field(ge=0)] = 5_000
    jump_ratio: Annotated[float, Field(gt=1)] = 20.0
    no_trade: Literal["skip", "carry"] = "skip"
    snapshot_seconds: Annotated[float, Field(gt=0, le=300)] = 5.0
    retention_mb: Annotated[int, Field(ge=64, le=1 << 20)] = 4_096


class SinkSettings(Section):
    """When the sinks commit: `max_rows` or `max_seconds`, whichever is first; more rows under backlog."""

    max_rows: Annotated[int, Field(ge=1)] = 5_000
    max_seconds: Annotated[float, Field(gt=0)] = 10.0
    backlog_rows: Annotated[int, Field(ge=1)] = 200_000
    checkpoint_every: Annotated[int, Field(ge=1)] = 10


class OrderSettings(Section):
    """How the order path keeps its partitions. Their number cannot change once topics exist.

    A snapshot is written each `snapshot_s`, or earlier after `snapshot_records`. `url` is where other processes reach
    this one; empty means the address that its HTTP server listens on.
    """

    partitions: Annotated[int, Field(ge=1, le=64)] = 4
    snapshot_s: Annotated[float, Field(gt=0, le=3_600)] = 30.0
    snapshot_records: Annotated[int, Field(ge=1, le=100_000)] = 2_000
    produce_timeout_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    url: str = ""


class PaperSettings(Section):
    """How the paper venue fills: its share of each volume, its delay, its slippage in ticks and its fees."""

    participation_bps: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    latency_ms: Annotated[int, Field(ge=0, le=60_000)] = 0
    slippage_ticks: Annotated[int, Field(ge=0, le=1_000)] = 0
    maker_ppm: Annotated[int, Field(ge=-10_000, le=100_000)] = 0
    taker_ppm: Annotated[int, Field(ge=-10_000, le=100_000)] = 0


class RouteSettings(Section):
    """The gateway's own caps, whoever approved an order. The value is in units of the order's currency."""

    max_order_value: Annotated[int, Field(ge=1, le=10**9)] = 10_000_000
    max_orders_per_s: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    burst: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    paper: PaperSettings = PaperSettings()


class StrategySettings(Section):
    """The strategy that the role `strategy` runs: one of `trading.strategies.catalog`, in one account.

    It is told of closed bars of one interval, of ticks too if it asks. `id` marks its orders; empty means its name.
    """

    name: str = "sma"
    id: Annotated[str, Field(max_length=64)] = ""
    account: Annotated[str, Field(min_length=1, max_length=128)] = "paper"
    interval: Literal["1m", "5m", "15m", "1h", "1d"] = "1m"
    ticks: bool = False
    parameters: dict[str, Any] = {"instrument": "BTC-USD.SIM", "fast": 3, "slow": 8, "qty": "0.01"}


class HttpSettings(Section):
    """Where the worker serves health, metrics and status. Port 0 takes any free one."""

    host: str = "127.0.0.1"
    port: Port = 8321


class ApiSettings(Section):
    """The order API. Rates are requests each second of one key; `venue` is whose instrument a bare symbol means.

    `accounts` get a key pair each in `{home}/keys.json` at the first start.
    """

    accounts: Annotated[tuple[Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")], ...], Field(min_length=1)] = (
        "paper",
    )
    venue: str = "SIM"
    body_bytes: Annotated[int, Field(ge=1_024, le=1 << 20)] = 65_536
    key_rate: Annotated[float, Field(gt=0, le=100_000)] = 2_000.0
    key_burst: Annotated[int, Field(ge=1, le=100_000)] = 4_000
    stranger_rate: Annotated[float, Field(gt=0, le=10_000)] = 20.0
    stranger_burst: Annotated[int, Field(ge=1, le=10_000)] = 100


class StartSettings(Section):
    """How the accounts of the order API begin on a desk that does not know them: their cash and their limits."""

    cash: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")] = "1000000"
    max_order_qty: str = "100000"
    max_order_value: str = "250000"
    max_position_qty: str = "1000000"
    max_var: str = "750000"
    collar_bps: int = 1_000
    concentration_bps: int = 2_500
    margin_bps: int = 5_000
    max_open_orders: int = 1_000
    message_rate: int = 500
    message_burst: int = 1_000
    repeat_count: int = 50
    repeat_window_ms: int = 1_000
    price_max_age_ms: int = 60_000
    valuation_max_age_ms: int = 86_400_000
    ack_timeout_ms: int = 30_000
    order_timeout_ms: int = 0
    short_allowed: bool = True


class DagsterSettings(Section):
    """Where the Dagster webserver listens."""

    host: str = "127.0.0.1"
    port: Port = 3000


class UpSettings(Section):
    """Where `trade up` serves health and metrics of itself and of its children.

    `market_port` is for the pages of its second worker, on Kafka, at the host of the first.
    """

    host: str = "127.0.0.1"
    port: Port = 8320
    market_port: Port = 8322


class Settings(BaseSettings):
    """Everything a process is told at start."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter=ENV_NESTED, frozen=True, extra="forbid"
    )

    home: Path = Path("var")
    profile: Literal["laptop", "service"] = "laptop"
    broker: str = "log://"
    fsync: Literal["always", "batch", "off"] = "batch"
    feed: FeedSettings = FeedSettings()
    market: MarketSettings = MarketSettings()
    sink: SinkSettings = SinkSettings()
    orders: OrderSettings = OrderSettings()
    route: RouteSettings = RouteSettings()
    strategy: StrategySettings = StrategySettings()
    http: HttpSettings = HttpSettings()
    api: ApiSettings = ApiSettings()
    start: StartSettings = StartSettings()
    dagster: DagsterSettings = DagsterSettings()
    up: UpSettings = UpSettings()
    instruments: tuple[dict[str, Any], ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, which is passed as init values."""
        return env_settings, init_settings

    @field_validator("home")
    @classmethod
    def _home_is_absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("instruments")
    @classmethod
    def _instruments_are_whole(cls, rows: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        seen: set[str] = set()
        for number, row in enumerate(rows):
            instrument = _instrument(number, row)
            if instrument.id in seen:
                raise ValueError(f"row {number} ({instrument.id}): defined twice")
            seen.add(instrument.id)
        return rows

    @field_validator("broker")
    @classmethod
    def _broker_is_a_url(cls, broker: str) -> str:
        scheme, _, rest = broker.partition("://")
        if scheme == "log" and (not rest or rest.startswith("/")):
            return broker
        if scheme == "kafka" and _host_port(rest):
            return broker
        raise ValueError("want log://, log:///ABSOLUTE/PATH or kafka://HOST:PORT")

    @model_validator(mode="after")
    def _a_service_names_its_broker(self) -> Self:
        if self.profile == "service":
            if self.broker.startswith("log://"):
                raise ValueError('broker: profile "service" needs kafka://, because log:// is one process')
            host, _ = _host_port(self.broker.removeprefix("kafka://")) or ("", 0)
            if _is_loopback(host):
                raise ValueError(f'broker: profile "service" refuses the loopback host {host!r}')
        return self

    @property
    def broker_url(self) -> str:
        """Return the broker's address; `log://` alone is the folder `log` of the home."""
        return f"log://{self.home}/log" if self.broker == "log://" else self.broker

    def instrument_table(self) -> InstrumentTable:
        """Return the built-in catalogue plus the configured instruments; a configured one replaces its namesake."""
        table = {instrument.id: instrument for instrument in CATALOGUE}
        table |= {i.id: i for i in (msgspec.convert(row, Instrument) for row in self.instruments)}
        return InstrumentTable(table.values())


def load(path: Path | None = None) -> Settings:
    """Read the settings from `path` (the defaults if None) and the environment; raise `ConfigError`."""
    values: dict[str, Any] = {}
    where = "defaults"
    if path is not None:
        where = str(path)
        try:
            values = tomllib.loads(path.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(where, "(file)", str(error)) from None
        if isinstance(home := values.get("home"), str):
            values["home"] = str(path.parent / Path(home).expanduser())
    _refuse_unknown_variables()
    try:
        return Settings(**values)
    except ValidationError as error:
        raise _config_error(where, error) from None
    except SettingsError as error:
        raise ConfigError("environment", ENV_PREFIX + "*", str(error)) from None


def _config_error(where: str, error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"]]
    rule = first["msg"].removeprefix("Value error, ")
    if not parts and ": " in rule:
        key, _, rule = rule.partition(": ")
        parts = [key]
    name = _variable(parts)
    if name is not None:
        return ConfigError("environment", name, rule)
    return ConfigError(where, ".".join(parts) or "(root)", rule)


def _variable(parts: Sequence[str]) -> str | None:
    """Return the variable that sets a key or a section that holds it, or None."""
    for length in range(len(parts), 0, -1):
        variable = (ENV_PREFIX + ENV_NESTED.join(parts[:length])).upper()
        name = next((name for name in os.environ if name.upper() == variable), None)
        if name is not None:
            return name
    return None


def _refuse_unknown_variables() -> None:
    for name in sorted(os.environ):
        field = name.upper().removeprefix(ENV_PREFIX).split(ENV_NESTED)[0].lower()
        if name.upper().startswith(ENV_PREFIX) and field not in Settings.model_fields:
            raise ConfigError("environment", name, f"no setting is called {field!r}")


def _instrument(number: int, row: dict[str, Any]) -> Instrument:
    label = f"row {number} ({row.get('symbol', '?')})"
    unknown = sorted(set(row) - set(Instrument.__struct_fields__))
    if unknown:
        raise ValueError(f"{label}: {unknown[0]}: unknown field")
    try:
        return msgspec.convert(row, Instrument)
    except (msgspec.ValidationError, ValueError) as error:
        text, _, field = str(error).partition(" - at `$.")
        raise ValueError(f"{label}: {field.rstrip('`')}: {text}" if field else f"{label}: {text}") from None


def _host_port(text: str) -> tuple[str, int] | None:
    host, _, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() and int(port) <= 65535 else None


def _is_loopback(host: str) -> bool:
    if host.lower().rstrip(".") in {"localhost", "localhost.localdomain", "ip6-localhost"}:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
