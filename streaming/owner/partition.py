"""One owned partition: take-over, the synchronous `apply`, and what every answer waits for.

A refused or failed write loses the partition, not the process: whoever waits gets `WriteLost`, the state is dropped,
and ownership is taken again. Only a failed fsync is fatal.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog

from streaming.owner import snapshots
from streaming.owner.apply import Applied, apply
from streaming.owner.audit import AUDIT_S, Tally, audit_from
from streaming.owner.clock import Clock
from streaming.owner.desk import Answer, DeskError, NotReady
from streaming.owner.prices import MarketBook
from streaming.owner.recovery import Recovery
from streaming.owner.shared_start import SharedStart
from streaming.owner.writer import GroupWriter, Pairs
from streaming.settings import OrderSettings
from streaming.transport.client import BrokerClient, BrokerError
from streaming.transport.fenced import BARRIER_KEY, FencedWriter
from trading.commands import AnyCommand, ReplaceOrder, SubmitOrder, Timer
from trading.orders.journal import append_fence, is_worked
from trading.orders.state import State
from trading.schemas import ORDERS_COMMANDS, ORDERS_JOURNAL, ORDERS_STATE

BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
# Who was fenced off has most likely lost the partition; the group says so within its session time.
FENCED_WAIT_S = 3.0
TIMER_NS = 10**9
FATAL = ("FSYNC_FAILED",)
T = TypeVar("T")
_log = structlog.get_logger("owner")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a partition works with. `written(partition, first offset, payloads)` sees what is durable, until `lost`."""

    client: BrokerClient
    fenced: Callable[[int], FencedWriter]
    settings: OrderSettings
    clock: Clock
    book: MarketBook
    name: str
    written: Callable[[int, int, list[bytes]], None]
    owned: Callable[[int, int], None]
    lost: Callable[[int], None]
    observe: Callable[[str, float], None]
    renew_s: float | None = None
    start: SharedStart | None = None


class Partition:
    """The owner of one partition, from the assignment to the revocation."""

    def __init__(self, number: int, around: Surroundings) -> None:
        self.number = number
        self.fatal: BaseException | None = None
        self.stopping = False
        # Until another owner shuts this one out: then a loss is for good, and what writes no record is confirmed.
        self.aside = False
        self._around = around
        self._written = partial(around.written, number)
        self._fenced = around.fenced(number)
        self._state: State | None = None
        self._writer: GroupWriter | None = None
        self._tally: Tally | None = None
        self._changed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._chores: set[asyncio.Task[None]] = set()
        self._timer_ns = self._snapshot_seq = 0
        self._snapshot_s = self._audit_s = self._renewed_s = 0.0
        self._counts = dict.fromkeys(
            ("commands", "records", "repeated", "lost", "take_overs", "skipped", "snapshots", "audits"), 0
        )
        self._seen: dict[str, Any] = {"audit_differences": 0}
        self._waiting: dict[str, Any] | None = None

    @property
    def ready(self) -> bool:
        """Say whether commands are taken."""
        return self._state is not None and not self.stopping

    def start(self) -> None:
        """Begin to take the partition over, and again whenever it is lost."""
        self._keeper = asyncio.create_task(self._keep(), name=f"owner-{self.number}")

    async def until_ready(self) -> bool:
        """Return True when commands are taken, False when the partition was given up; raise what is fatal."""
        while True:
            if self.fatal is not None:
                raise self.fatal
            if self.stopping:
                return False
            if self._state is not None:
                return True
            self._changed.clear()
            await self._changed.wait()

    async def execute(self, command: AnyCommand, cause: str) -> Answer:
        """Decide now, and return once it is durable; raise `DeskError`."""
        started = time.perf_counter()
        before = self._ready_state().seq
        answer, writer = self._decide(command, cause)
        decided = time.perf_counter()
        await writer.durable(answer.seq)
        if answer.seq == before:
            await self._confirm()
        if isinstance(command, SubmitOrder | ReplaceOrder):
            self._around.observe("decision_seconds", decided - started)
            self._around.observe("durable_seconds", time.perf_counter() - started)
        return answer

    def take(self, offset: int, command: AnyCommand) -> None:
        """Decide a command of the input topic, unless it has been worked already; wait with `settle`."""
        if is_worked(self._ready_state(), ORDERS_COMMANDS.name, self.number, offset):
            self._counts["repeated"] += 1
            return
        self._decide(command, f"{ORDERS_COMMANDS.name}:{self.number}:{offset}", keep_cause=True)

    async def settle(self) -> None:
        """Return once everything decided so far is durable; raise `DeskError`."""
        state, writer = self._ready_state(), self._writer
        assert writer is not None, "a state has its writer"
        await writer.durable(state.seq)

    async def read(self, view: Callable[[State], T]) -> T:
        """Return what `view` sees now, once it is durable; raise `DeskError`."""
        seen = view(self._ready_state())
        await self.settle()
        await self._confirm()
        return seen

    def drop(self, error: BaseException) -> None:
        """Lose the partition at once: waiters fail, the state is gone."""
        if self._writer is not None and not self.stopping:
            self._counts["lost"] += 1
        writer, self._writer, self._state, self._tally = self._writer, None, None, None
        for chore in self._chores:
            chore.cancel()
        if writer is not None:
            writer.fail(error)
            self._around.lost(self.number)
        if isinstance(error, BrokerError) and error.code in FATAL:
            self.fatal = error
        if not self.stopping:
            self._waiting = {"code": str(getattr(error, "code", type(error).__name__)), "message": str(error)}
        if self.aside:
            self._end()
        self._changed.set()

    def revoke(self) -> None:
        """Give the partition up without a word: somebody else has it."""
        self._end()
        self.drop(NotReady(self.number, f"partition {self.number} was taken away"))

    async def take_back(self) -> bool:
        """Own the partition as before; return False if it is lost, or was never set aside."""
        if not self.aside or not self.ready:
            return False
        try:
            await self._confirm()
        except DeskError:
            return False
        self.aside = False
        return self.ready

    async def close(self) -> None:
        """Take nothing more, write everything and a snapshot, and let go."""
        self.stopping = True
        await self.save()
        await self.leave()

    async def save(self) -> None:
        """Write everything that is decided by now, and a snapshot."""
        state, writer = self._state, self._writer
        if state is None or writer is None:
            return
        try:
            await writer.durable(state.seq)
            await asyncio.gather(*self._chores)
            if state.seq > self._snapshot_seq:
                await self._snapshot(state, writer)
        except (DeskError, BrokerError) as error:
            _log.warning("closed_without_snapshot", partition=self.number, reason=str(error))

    async def leave(self) -> None:
        """Stop what still runs, after `close` or `revoke`."""
        self.revoke()
        await asyncio.gather(*self._chores, *([self._keeper] if self._keeper else []), return_exceptions=True)
        await self._fenced.stop()

    def tick(self) -> None:
        """Do what is due by time: the timer of the desk's clock, the snapshot, the audit, the hourly renewal."""
        state, writer = self._state, self._writer
        if state is None or writer is None or self.stopping:
            return
        now_ns = self._around.clock.now_ns()
        if now_ns - self._timer_ns >= TIMER_NS:
            self._timer_ns = now_ns
            if not writer.full:
                self._decide(Timer(account="", ts_ns=now_ns), f"timer-{now_ns}")
        # A snapshot and a renewal use one producer; one at a time.
        if self._chores or writer.renewing:
            return
        settings, now_s = self._around.settings, time.monotonic()
        behind = state.seq - self._snapshot_seq
        # The rare ones first: under load a snapshot may be due at every tick.
        if self._around.renew_s is not None and now_s - self._renewed_s >= self._around.renew_s:
            self._renewed_s = now_s
            writer.renew(self._fenced.take_over, self._fence_again)
        elif now_s - self._audit_s >= AUDIT_S:
            self._do(self._audit(state))
        elif behind >= settings.snapshot_records or (behind and now_s - self._snapshot_s >= settings.snapshot_s):
            self._do(self._snapshot(state, writer))

    def stats(self) -> dict[str, Any]:
        """Return plain counters."""
        state, writer = self._state, self._writer
        page = {**self._counts, **self._seen, "waiting": self._waiting, "owned": self.ready}
        if state is not None and writer is not None:
            page |= {
                "seq": state.seq,
                "durable_seq": writer.durable_seq,
                "generation": state.generation,
                "groups": writer.groups,
                "accounts": len(state.accounts),
                "orders": len(state.orders),
                "killed": state.controls.killed,
            }
        return page

    async def _keep(self) -> None:
        failures = 0
        while not self.stopping and self.fatal is None:
            try:
                await self._take_over()
                failures = 0
                while self._state is not None:
                    self._changed.clear()
                    await self._changed.wait()
                wait_s = BACKOFF_S[0]
            except BrokerError as error:
                _log.warning("take_over_failed", partition=self.number, code=error.code, reason=str(error))
                self.drop(error)
                wait_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
                failures += 1
            except Exception as error:  # noqa: BLE001 - a journal that does not hold together must stop the process
                _log.error("take_over_impossible", partition=self.number, exc_info=error)
                self.fatal = error
                self.drop(error)
                return
            fenced = self._waiting is not None and self._waiting["code"] == "FENCED"
            await asyncio.sleep(FENCED_WAIT_S if fenced else wait_s)

    async def _take_over(self) -> None:
        around, started = self._around, time.monotonic()
        recovery = Recovery(around.client, self.number, around.start)
        # Until the fence another owner may still answer: only what comes after it is a pause.
        await recovery.read_ahead()
        fencing_s = time.monotonic()
        end = await self._fenced.take_over()
        fenced_s = time.monotonic()
        found = await recovery.finish_for_owner(end)
        state = found.state
        around.clock.advance(found.last_ts_ns)
        payload = append_fence(state, around.name, around.clock.now_ns())
        offset = await self._fenced.append(ORDERS_JOURNAL.name, [(b"", payload)])
        if offset != end:
            raise BrokerError("OFFSET_MOVED", f"fence at {offset}, expected {end}: there is another writer")
        state.generation = offset
        await snapshots.write_rows(found.unfinished, self._append_state)
        self._writer = GroupWriter(
            self.number, self._append_journal, seq=state.seq, offset=offset, written=self._written, lost=self.drop
        )
        self._tally = Tally(state)
        # What was folded is in no snapshot yet.
        self._snapshot_seq = state.seq - 1 - found.folded
        self._snapshot_s = self._renewed_s = time.monotonic()
        self._audit_s = audit_from(self.number, self._snapshot_s)
        self._counts["take_overs"] += 1
        self._counts["skipped"] += found.skipped
        self._seen |= {
            "folded": found.folded,
            "fold_ms": round(found.fold_s * 1e3, 1),
            "take_over_ms": round((self._snapshot_s - started) * 1e3, 1),
            "recover_ms": round((self._snapshot_s - fenced_s + fencing_s - started) * 1e3, 1),
        }
        self._state, self._waiting = state, None
        self._changed.set()
        around.owned(self.number, offset)
        self._written(offset, [payload])
        _log.info("partition_owned", partition=self.number, generation=offset, seq=state.seq, **self._seen)

    def _end(self) -> None:
        self.stopping = True
        if self._keeper is not None:
            self._keeper.cancel()

    async def _confirm(self) -> None:
        """While set aside, return only if no other owner has decided anything by now; raise `NotReady`."""
        if not self.aside:
            return
        try:
            # A new owner shuts this topic before it folds the journal.
            await self._append_state([(BARRIER_KEY, None)])
        except BrokerError as error:
            self.drop(error)
            raise NotReady(self.number, f"partition {self.number} has another owner: {error}") from error

    def _ready_state(self) -> State:
        if self._state is None or self.stopping:
            raise NotReady(self.number, f"partition {self.number} is being taken over or given up")
        return self._state

    def _decide(self, command: AnyCommand, cause: str, *, keep_cause: bool = False) -> tuple[Answer, GroupWriter]:
        state, writer, tally, clock = self._ready_state(), self._writer, self._tally, self._around.clock
        assert writer is not None, "a state has its writer"
        assert tally is not None, "a state has its tally"
        if writer.full:
            raise NotReady(self.number, f"partition {self.number}: the journal does not keep up")
        if keep_cause:
            # From the topic, so from our own roles: the time of what they act on has certainly come.
            clock.advance(command.ts_ns)
        try:
            applied: Applied = apply(
                state, command, cause, clock.now_ns(), self._around.book.view, keep_cause=keep_cause
            )
        except Exception as error:
            # The state may be half changed: it is not used again.
            _log.error("apply_failed", partition=self.number, cause=cause, exc_info=error)
            self.drop(error)
            raise
        for account, payload in applied.records:
            writer.put(account, payload)
        if applied.records:
            tally.hear(applied.answer.events)
        self._counts["commands"] += 1
        self._counts["records"] += len(applied.records)
        return applied.answer, writer

    def _fence_again(self) -> None:
        state, writer = self._state, self._writer
        if state is None or writer is None:
            return
        writer.put("", append_fence(state, self._around.name, self._around.clock.now_ns()))
        state.generation = state.seq + writer.base

    async def _append_journal(self, pairs: Pairs) -> int:
        started = time.perf_counter()
        offset = await self._fenced.append(ORDERS_JOURNAL.name, pairs)
        self._around.observe("append_seconds", time.perf_counter() - started)
        return offset

    async def _append_state(self, pairs: Pairs) -> int:
        return await self._fenced.append(ORDERS_STATE.name, pairs)

    def _do(self, chore: Any) -> None:
        task = asyncio.create_task(self._guarded(chore), name=f"chore-{self.number}")
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def _guarded(self, chore: Any) -> None:
        try:
            await chore
        except DeskError:
            return
        except BrokerError as error:
            _log.warning("snapshot_lost", partition=self.number, code=error.code, reason=str(error))
            self.drop(error)

    async def _snapshot(self, state: State, writer: GroupWriter) -> None:
        taken = await snapshots.cut_in_pieces(state, lambda: state.seq + writer.base)
        await writer.durable(taken.seq)
        size = await snapshots.write(taken, self._append_state)
        self._snapshot_seq, self._snapshot_s = taken.seq, time.monotonic()
        self._counts["snapshots"] += 1
        self._seen |= {
            "snapshot_rows": len(taken.rows),
            "snapshot_bytes": size,
            "snapshot_stall_ms": round(taken.stalled_s * 1e3, 2),
        }

    async def _audit(self, state: State) -> None:
        assert self._tally is not None, "a state has its tally"
        found = await self._tally.differences(state)
        self._audit_s = time.monotonic()
        self._counts["audits"] += 1
        self._seen["audit_differences"] = len(found)
        for text in found[:10]:
            _log.error("audit_difference", partition=self.number, difference=text)
