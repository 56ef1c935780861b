"""Settings: `trade.toml`, overridden by `TRADE_*` variables. Typed, frozen; a mistake names file, key and rule."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from trading.instruments import CATALOGUE, Instrument, InstrumentTable

EXIT_CONFIG = 78
Port = Annotated[int, Field(ge=0, le=65535)]


class ConfigError(Exception):
    """A configuration that is refused: where, which key, which rule."""

    def __init__(self, where: str, key: str, rule: str) -> None:
        super().__init__(f"{where}: {key}: {rule}")
        self.where, self.key, self.rule = where, key, rule


class Section(BaseModel):
    """A part of the settings. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FeedSettings(Section):
    """Where ticks come from: `sim` or `replay:FILE`."""

    source: str = "sim"
    seed: int = 7
    rate: Annotated[float, Field(gt=0, le=5_000_000)] = 2_000.0
    speed: Annotated[float, Field(ge=0)] = 0.0
    batch_rows: Annotated[int, Field(ge=1, le=1_000)] = 1_000
    linger_ms: Annotated[float, Field(gt=0, le=1_000)] = 5.0


class MarketSettings(Section):
    """How ticks become bars. Partition counts cannot change once topics exist."""

    raw_partitions: Annotated[int, Field(ge=1, le=64)] = 1
    shards: Annotated[int, Field(ge=1, le=64)] = 2
    allowed_lateness_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 2_000
    stale_after_ms: Annotated[int, Field(ge=1)] = 5_000
    future_tolerance_ms: Annotated[int, Field(ge=0)] = 5_000
    jump_ratio: Annotated[float, Field(gt=1)] = 20.0
    no_trade: Literal["skip", "carry"] = "skip"


class SinkSettings(Section):
    """When the sinks commit: `max_rows` or `max_seconds`, whichever is first; more rows under backlog."""

    max_rows: Annotated[int, Field(ge=1)] = 5_000
    max_seconds: Annotated[float, Field(gt=0)] = 10.0
    backlog_rows: Annotated[int, Field(ge=1)] = 200_000
    checkpoint_every: Annotated[int, Field(ge=1)] = 10


class HttpSettings(Section):
    """Where the worker serves health, metrics and status."""

    host: str = "127.0.0.1"
    port: Port = 8321


class DagsterSettings(Section):
    """Where the Dagster webserver listens."""

    host: str = "127.0.0.1"
    port: Port = 3000


class Settings(BaseSettings):
    """Everything a process is told at start."""

    model_config = SettingsConfigDict(env_prefix="TRADE_", env_nested_delimiter="__", frozen=True, extra="forbid")

    home: Path = Path("var")
    profile: Literal["laptop", "service"] = "laptop"
    broker: str = "log://"
    fsync: Literal["always", "batch", "off"] = "batch"
    feed: FeedSettings = FeedSettings()
    market: MarketSettings = MarketSettings()
    sink: SinkSettings = SinkSettings()
    http: HttpSettings = HttpSettings()
    dagster: DagsterSettings = DagsterSettings()
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

    @field_validator("instruments")
    @classmethod
    def _instruments_are_whole(cls, rows: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        for row in rows:
            msgspec.convert(row, Instrument)
        return rows

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
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(where, ".".join(map(str, first["loc"])) or "(root)", first["msg"]) from None
