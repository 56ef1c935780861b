"""`python -m streaming.worker`: several roles in one process and one event loop, with one HTTP server for all.

Exit codes: 0 stopped clean, 1 a role failed, 2 wrong arguments, 65 the file of the feed is unreadable, 69 no broker, 75
not drained in time, 78 settings refused; a second signal ends the process at once with 128 + its number. After SIGUSR1
it drains up to the owner of the orders, who is in another process, and waits: see `Platform.quiet`.
"""

import argparse
import asyncio
import gc
import importlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from numpy._core.multiarray import _set_madvise_hugepage  # type: ignore[attr-defined]  # no stub

from streaming.flow import Flow, FlowContext, Source, SourceFlow
from streaming.settings import EXIT_CONFIG, SETTINGS, ConfigError, FeedSettings, Settings, load
from streaming.status import NAME

if TYPE_CHECKING:
    from streaming.api.server import HttpServer
    from streaming.owner.shared_start import SharedStart

ROLES = ("ingest", "normalize", "sink-ticks", "sink-bars", "sink-frames")
KNOWN = (*ROLES, "orders", "route", "strategy", "sink-journal")
# Names for several: everything, and what works beside an owner of orders that has a process of its own.
GROUPS = {"all": KNOWN, "beside": tuple(role for role in KNOWN if role != "orders")}
CONFIG_FILE = Path("trade.toml")
# The home belongs to another process then, its status file too.
LOG_IN_USE = "LOG_IN_USE"
# Reference counts free nearly everything here, so a look costs much and finds little: seldom, but of few objects each
# time, so that it holds up no order for long. What was looked at twice is left alone for hours.
GC_THRESHOLD = (2_500, 1, 1_000)

_log = structlog.get_logger("worker")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; a mistake ends the process with code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m streaming.worker", description="Run streaming roles in one process."
    )
    parser.add_argument("role", nargs="*", help="a role; the same as --roles")
    parser.add_argument(
        "--roles", default="", help=f"comma-separated, or one of {', '.join(GROUPS)}; default {','.join(ROLES)}"
    )
    parser.add_argument("--flow", action="append", default=[], metavar="MODULE:NAME", help="a flow of your own")
    parser.add_argument("--config", type=Path, default=None, help="default: trade.toml, when it exists")
    parser.add_argument("--feed", default=None, metavar="SOURCE", help="sim or replay:FILE; wins over the settings")
    parser.add_argument("--for", dest="for_s", type=float, default=None, metavar="S", help="stop after S seconds")
    parser.add_argument("--until-drained", action="store_true", help="stop when a finite feed has ended")
    parser.add_argument("--name", default=NAME, help="of the status file, where processes share a home")
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker and return its exit code."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    # What a start makes stays: to look through it again and again would take a good part of the start.
    gc.set_threshold(*GC_THRESHOLD)
    options.config = options.config or (CONFIG_FILE if CONFIG_FILE.exists() else None)
    try:
        settings, flows = _configured(options)
    except ConfigError as error:
        return _refuse(error, options)
    from streaming.adapters.telemetry import start_logging

    stop_logging = start_logging(level=options.log_level)
    try:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(settings, flows, options))
    except ConfigError as error:
        return _refuse(error, options)
    finally:
        stop_logging()


def flows_of(roles: Sequence[str], extra: Sequence[str]) -> list[Flow | SourceFlow]:
    """Return the flows of the named roles and of `MODULE:NAME` references; raise `ConfigError`."""
    from streaming.owner.shared_start import SharedStart

    start = SharedStart(takers=len({"orders", "route"}.intersection(roles)) or 1)
    flows = [_role(name, start) for name in roles] + [_reference(text) for text in extra]
    names = [flow.role for flow in flows]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError("command line", "--roles", f"role {name!r} is named twice")
    return flows


def _configured(options: argparse.Namespace) -> tuple[Settings, list[Flow | SourceFlow]]:
    settings = load(options.config)
    if options.feed is not None:
        from pydantic import ValidationError

        try:
            feed = FeedSettings.model_validate(settings.feed.model_dump() | {"source": options.feed})
        except ValidationError as error:
            raise ConfigError("command line", "--feed", error.errors()[0]["msg"]) from None
        settings = settings.model_copy(update={"feed": feed})
    named = [*options.role, *(name for name in options.roles.split(",") if name)]
    named = [role for name in named for role in GROUPS.get(name, (name,))]
    return settings, flows_of(named or (() if options.flow else ROLES), options.flow)


def _role(name: str, start: "SharedStart") -> Flow | SourceFlow:
    if name not in KNOWN:
        raise ConfigError("command line", "--roles", f"unknown role {name!r}; known: {', '.join(KNOWN)}")
    if name == "ingest":
        return SourceFlow("ingest", _ingest)
    if name == "orders":
        from streaming.api.service import OrderApi
        from streaming.flows.orders import order_flow
        from streaming.owner.house import House

        house = House(start=start)
        return replace(order_flow(house), service=OrderApi(house))
    if name == "route":
        from streaming.flows.route import route_flow

        return route_flow(start=start)
    return _reference(f"streaming.flows.{name.replace('-', '_')}:FLOW")


def _ingest(context: FlowContext) -> Source:
    from streaming.adapters.feed import FeedError
    from streaming.adapters.feed_source import open_feed
    from streaming.flows.ingest import Ingest

    try:
        feed = open_feed(context.settings.feed)
    except FeedError as error:
        raise ConfigError(SETTINGS, "feed.source", f"{error.code}: {error}") from None
    return Ingest(context, feed)


def _reference(text: str) -> Flow | SourceFlow:
    module, _, name = text.partition(":")
    try:
        flow = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError("command line", "--flow", f"{text!r}: {error}") from None
    if not isinstance(flow, Flow | SourceFlow):
        raise ConfigError("command line", "--flow", f"{text!r} is not a Flow")
    return flow


def _refuse(error: ConfigError, options: argparse.Namespace) -> int:
    located = error.located(options.config, {} if options.feed is None else {"feed.source": "--feed"})
    sys.stderr.write(f"CONFIG_REFUSED {located}\n")
    return EXIT_CONFIG


async def _run(settings: Settings, flows: Sequence[Flow | SourceFlow], options: argparse.Namespace) -> int:
    from streaming.api.front import Front
    from streaming.api.health import PATHS, make_api
    from streaming.api.service import OrderApi
    from streaming.platform import Platform, describe
    from streaming.supervise import EXIT_FAILED, LoopWatch, PlatformError
    from streaming.transport.connect import connect

    take_small_pages()
    stop, quiet = asyncio.Event(), asyncio.Event()
    _own_signals(stop, quiet)
    loops = LoopWatch()
    loops.start()
    http = _bind(settings)
    settings = _reachable(settings, f"http://{http.host}:{http.port}")
    platform = Platform(settings, flows, connect, options.name)
    board = platform.board
    board.http = {"host": http.host, "port": http.port}
    started = time.monotonic()
    code = 0

    def over() -> bool:
        if http.task is None or http.task.done():
            raise PlatformError("HTTP_FAILED", "the HTTP server has stopped")
        late = options.for_s is not None and time.monotonic() - started >= options.for_s
        return stop.is_set() or late or (options.until_drained and platform.drained)

    try:
        front = Front(make_api(board, platform.metrics), PATHS)
        for flow in flows:
            if isinstance(flow, Flow) and isinstance(flow.service, OrderApi):
                flow.service.mount = front.mount
        await http.start(front)
        await platform.start()
        board.write()
        _rest_the_collector()
        await platform.watch(lambda: over() or quiet.is_set())
        if not over():
            await platform.quiet()
            await platform.watch(over)
        _log.info("draining")
        await platform.drain()
    except PlatformError as error:
        code = error.exit_code
        board.fail(error.code, str(error))
        _log.critical("failed", code=error.code, message=str(error), exc_info=error.__cause__)
    except ConfigError:
        code = EXIT_CONFIG
        board.fail("CONFIG_REFUSED", "see the message on stderr")
        raise
    except Exception as error:  # noqa: BLE001 - the status page and the exit code must tell of any failure
        code = EXIT_FAILED
        board.fail(str(getattr(error, "code", "FAILED")), f"{type(error).__name__}: {error}")
        _log.critical("failed", exc_info=True)
    finally:
        await platform.stop()
        if board.state != "failed":
            board.state = "stopped"
        if board.error is None or board.error["code"] != LOG_IN_USE:
            board.write()
        _log.info("stopped", exit_code=code, **describe(board.page()))
        await http.stop()
        loops.stop()
    return code


def _rest_the_collector() -> None:
    """Leave what lives as long as the process out of collections, and collect seldom: each stops all orders."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


def take_small_pages() -> None:
    """Let numpy take memory in small pages: a huge one stops the loop for a millisecond when it is first used."""
    # Numpy has no public name for it but an environment variable, which it reads when it is imported.
    _set_madvise_hugepage(False)


def _own_signals(stop: asyncio.Event, quiet: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def signalled(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled, number)
    loop.add_signal_handler(signal.SIGUSR1, quiet.set)


def _reachable(settings: Settings, url: str) -> Settings:
    orders = settings.orders.model_copy(update={"url": settings.orders.url or url})
    return settings.model_copy(update={"orders": orders})


def _bind(settings: Settings) -> "HttpServer":
    from streaming.api.server import HttpServer

    try:
        return HttpServer(settings.http.host, settings.http.port)
    except OSError as error:
        rule = f"cannot listen on {settings.http.host}:{settings.http.port}: {error.strerror}; set TRADE_HTTP__PORT"
        raise ConfigError(SETTINGS, "http.port", rule) from None


if __name__ == "__main__":
    raise SystemExit(main())
