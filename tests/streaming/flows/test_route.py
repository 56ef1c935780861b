"""The gateway against the pure core and the paper venue: every outcome, every fault, and any number of lives."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streaming.adapters.venue_faults import Fault
from streaming.settings import RouteSettings
from tests.streaming.order_ring import Ring, tick
from tests.trading.orders.builders import T0, S, oid, submit
from trading.commands import AnyCommand, CancelAll, CancelOrder, Kill, ReplaceOrder, VenueFill, decode_command
from trading.market.batches import TRADE
from trading.market.flags import SUSPICIOUS
from trading.orders.journal import verify
from trading.orders.snapshot import state_hash
from trading.routing.models import FixedLatency, Models, Participation
from trading.routing.plan import Outcome, Rejected, RequestVerb, Unknown, VenueRequest
from trading.schemas import ORDERS_COMMANDS, ORDERS_JOURNAL


@pytest.fixture
async def ring(tmp_path: Path) -> AsyncIterator[Ring]:
    made = Ring(tmp_path)
    await made.start()
    yield made
    await made.stop()


def cancel(cid: str = "c1") -> CancelOrder:
    return CancelOrder(account="a", ts_ns=T0, order=oid(cid))


async def later(ring: Ring, cid: str, status: str) -> None:
    """Turn the wheel until an order has this status: retries of the gateway take real time."""
    async with asyncio.timeout(20):
        while ring.status(oid(cid))[0] != status:
            await asyncio.sleep(0.02)
            await ring.settle()


async def test_an_order_is_accepted_filled_and_its_position_kept(ring: Ring) -> None:
    await ring.quote(9_990)
    await ring.say(submit())
    assert ring.status(oid()) == ("new", 0)
    await ring.trade(9_900, 4)
    assert ring.status(oid()) == ("partially_filled", 4)
    await ring.trade(9_900, 100)
    assert ring.status(oid()) == ("filled", 10)
    assert ring.state.accounts["a"].exposure.holdings["XYZ.SIM"].qty == 10
    payloads = [record.value or b"" for record in ring.broker.records[ORDERS_JOURNAL.name, 0]]
    assert verify(payloads)[0] == ring.state.seq


async def test_a_doubted_trade_fills_nothing(ring: Ring) -> None:
    await ring.say(submit())
    await ring.trade(9_000, 100, flags=SUSPICIOUS)
    assert ring.status(oid()) == ("new", 0)


async def test_cancel_and_replace(ring: Ring) -> None:
    await ring.say(submit())
    await ring.trade(9_900, 4)
    await ring.say(ReplaceOrder(account="a", ts_ns=T0, order=oid(), client_order_id="c2", qty="12", limit_price="98"))
    assert (ring.status(oid()), ring.status(oid("c2"))) == (("replaced", 4), ("new", 0))
    await ring.say(cancel("c2"))
    assert ring.status(oid("c2")) == ("canceled", 0)
    assert ring.lanes[0].stats()["open"] == 0


async def test_reports_go_to_the_partition_of_their_account(tmp_path: Path) -> None:
    names = [f"acct-{n}" for n in range(8)]
    ring = Ring(tmp_path, accounts=names, partitions=4)
    await ring.start()
    await ring.say(*(submit(account=name) for name in names))
    await ring.trade(9_900, 1_000)
    assert {ring.status(oid(account=name)) for name in names} == {("filled", 10)}
    await ring.stop()


async def test_the_controls_are_checked_again(tmp_path: Path) -> None:
    ring = Ring(tmp_path, route=RouteSettings(max_order_value=500))
    await ring.start()
    await ring.say(submit())
    assert (ring.status(oid()), ring.row(oid()).reason) == (("rejected", 0), "GATEWAY_ORDER_VALUE")
    assert ring.lanes[0].stats()["denials"] == {"GATEWAY_ORDER_VALUE": 1}
    await ring.stop()


async def test_a_kill_on_the_way_stops_what_was_approved_before_it(ring: Ring) -> None:
    # The gateway reads both records only after the owner has written both.
    ring.lanes, lanes = [], ring.lanes
    await ring.say(submit())
    assert ring.status(oid()) == ("pending_new", 0)
    await ring.say(Kill(account="", ts_ns=T0, actor="admin", cancel_open=True))
    await ring.kill()
    ring.lanes = lanes
    await ring.start()
    await ring.settle()
    assert ring.status(oid())[0] in ("rejected", "canceled")
    assert ring.paper.stats()["orders"] == 0


async def test_a_request_that_never_arrived_is_asked_about_and_not_sent_again(ring: Ring) -> None:
    ring.fault(Fault("drop_before"))
    await ring.say(submit())
    assert (ring.status(oid()), ring.row(oid()).reason) == (("rejected", 0), "NEVER_ARRIVED")
    assert ring.lanes[0].stats()["unknown"] == 1
    assert ring.lanes[0].stats()["in_doubt"] == 0


async def test_an_order_is_in_doubt_as_long_as_questions_about_it_are_lost(ring: Ring) -> None:
    ring.fault(Fault("drop_before"), Fault("drop_before", verb="query"))
    await ring.say(submit())
    assert (ring.status(oid())[0], ring.lanes[0].stats()["in_doubt"]) == ("unknown", 1)
    await later(ring, "c1", "rejected")
    assert ring.lanes[0].stats()["in_doubt"] == 0


async def test_an_answer_that_was_lost_is_found_by_asking(ring: Ring) -> None:
    ring.fault(Fault("drop_after"))
    await ring.say(submit())
    assert ring.status(oid()) == ("new", 0)
    assert ring.row(oid()).venue_order_id
    await ring.trade(9_900, 100)
    assert ring.status(oid()) == ("filled", 10)


async def test_a_lost_cancel_is_sent_again(ring: Ring) -> None:
    await ring.say(submit())
    ring.fault(Fault("drop_before", verb="cancel"))
    await ring.say(cancel())
    assert ring.status(oid()) == ("pending_cancel", 0)
    await later(ring, "c1", "canceled")


async def test_a_cancel_that_is_refused_the_second_time_may_have_worked_the_first(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ring.say(submit())
    paper = ring.paper
    answers: list[Outcome] = [Unknown("TIMEOUT"), Rejected("UNKNOWN_ORDER")]
    send = paper.send

    async def lossy(request: VenueRequest, ts_ns: int) -> Outcome | None:
        if request.verb != "cancel":
            return await send(request, ts_ns)
        if len(answers) == 2:
            ring.fault(Fault("drop_after", verb="cancel"))
            await send(request, ts_ns)
        return answers.pop(0)

    monkeypatch.setattr(paper, "send", lossy)
    await ring.say(cancel())
    await later(ring, "c1", "canceled")
    assert answers == []


async def test_duplicate_late_and_delayed_executions_count_once(ring: Ring) -> None:
    await ring.quote(9_990)
    ring.fault(Fault("duplicate"), Fault("late"))
    await ring.say(submit("c1"))
    await ring.trade(9_900, 4)
    assert ring.status(oid()) == ("new", 0)
    await ring.say(cancel())
    row = ring.row(oid())
    assert (row.status, row.filled) == ("canceled", 4)
    ring.fault(Fault("delay", delay_ns=S))
    await ring.say(submit("c2"))
    assert ring.status(oid("c2")) == ("pending_new", 0)
    await ring.trade(9_900, 100)
    await ring.quote(9_990, ts_ns=T0 + 2 * S)
    assert ring.status(oid("c2")) == ("filled", 10)
    assert ring.state.accounts["a"].exposure.holdings["XYZ.SIM"].qty == 14


async def test_a_lost_connection_cancels_all_and_lets_nothing_new_out(ring: Ring) -> None:
    await ring.say(submit("c1"), submit("c2"))
    ring.paper.disconnect()
    await ring.settle()
    assert {ring.status(oid(cid))[0] for cid in ("c1", "c2")} == {"pending_cancel"}
    await ring.say(submit("c3"))
    assert (ring.status(oid("c3"))[0], ring.row(oid("c3")).reason) == ("rejected", "VENUE_DISCONNECTED")
    ring.paper.reconnect()
    await later(ring, "c1", "canceled")
    await later(ring, "c2", "canceled")
    assert ring.lanes[0].stats()["cancel_alls"] == 1


async def test_records_of_a_fenced_off_owner_are_skipped(ring: Ring) -> None:
    await ring.say(submit("c1"))
    stale = next(r for r in ring.broker.records[ORDERS_JOURNAL.name, 0] if b'"order_accepted"' in (r.value or b""))
    await ring.owner.fence()
    await ring.settle()
    await ring.broker.append(ORDERS_JOURNAL.name, 0, [(None, stale.value)])
    await ring.settle()
    stats = ring.lanes[0].stats()
    assert (stats["skipped"], stats["sent"], stats["open"]) == (1, 1, 1)


async def test_an_unreadable_record_is_counted(ring: Ring) -> None:
    await ring.broker.append(ORDERS_JOURNAL.name, 0, [(None, b"{")])
    await ring.lanes[0].process(ring.broker.records[ORDERS_JOURNAL.name, 0][-1:])
    assert ring.lanes[0].stats()["refused"] == 1
    ring._read[0] += 1


async def test_a_new_life_waits_until_the_owner_has_worked_the_reports_of_the_old_one(ring: Ring) -> None:
    await ring.say(submit())
    await ring.trade(9_900, 4)
    # An execution is in the topic when the gateway dies; the owner has not seen it.
    before = len(ring.broker.records[ORDERS_COMMANDS.name, 0])
    reporter = ring.house.parts[2]
    await reporter.put(ring.paper.on_ticks(tick(TRADE, 9_900, 3)))
    await reporter.flush()
    assert len(ring.broker.records[ORDERS_COMMANDS.name, 0]) == before + 1
    await ring.kill()
    await ring.start()
    await ring.lanes[0].tick()
    assert not ring.lanes[0].stats()["joined"]
    await ring.settle()
    assert ring.lanes[0].stats()["joined"]
    assert ring.status(oid()) == ("partially_filled", 7)
    await ring.trade(9_900, 100)
    assert ring.status(oid()) == ("filled", 10)
    said = [decode_command(record.value or b"") for record in ring.broker.records[ORDERS_COMMANDS.name, 0]]
    fills = [command.trade_id for command in said if isinstance(command, VenueFill)]
    assert len(set(fills)) == len(fills) == 3


@pytest.mark.parametrize("after", range(8))
async def test_a_gateway_that_is_killed_at_any_step_goes_on(tmp_path: Path, after: int) -> None:
    """Orders end alike, however many of the records the first life has seen and however few reports it wrote."""
    ring = Ring(tmp_path, models=Models(fill=Participation(5_000), latency=FixedLatency(0)))
    await ring.start()
    await ring.quote(9_990)
    script: list[AnyCommand] = [
        submit("c1"), submit("c2", side="sell", limit_price="101"), cancel("c2"), submit("c3", qty="7"),
        ReplaceOrder(account="a", ts_ns=T0, order=oid("c3"), client_order_id="c4", qty="9"),
        CancelAll(account="a", ts_ns=T0, strategy="none"), submit("c5", tif="ioc"), submit("c6"),
    ]  # fmt: skip
    for number, command in enumerate(script):
        if number == after:
            lanes, ring.lanes = ring.lanes, []
            await ring.say(command)
            ring.lanes = lanes
            await ring.kill()
            await ring.start()
        await ring.say(command)
    await ring.trade(9_900, 200)
    ends = {cid: ring.status(oid(cid)) for cid in ("c1", "c2", "c3", "c4", "c5", "c6")}
    assert ends == {
        "c1": ("filled", 10), "c2": ("canceled", 0), "c3": ("replaced", 0), "c4": ("filled", 9),
        "c5": ("canceled", 0), "c6": ("filled", 10),
    }  # fmt: skip
    assert state_hash(ring.refold()) == state_hash(ring.state)
    await ring.stop()


@pytest.fixture
async def watchful(tmp_path: Path) -> AsyncIterator[Ring]:
    """Compare with the venue at every tick."""
    made = Ring(tmp_path, reconcile_s=0)
    await made.start()
    yield made
    await made.stop()


def mended(ring: Ring) -> dict[str, int]:
    return dict(ring.lanes[0].stats()["reconciled"]["mended"])


async def test_an_order_that_the_venue_lost_is_mended_in_one_pass(watchful: Ring) -> None:
    watchful.fault(Fault("delay", order=oid("c2"), delay_ns=1_000 * S))
    await watchful.say(submit("c1"), submit("c2"), submit("c3"))
    watchful.paper.forget([oid("c1"), oid("c2")])
    await watchful.quote(9_990, ts_ns=T0 + 5 * S)
    await watchful.settle()
    assert mended(watchful) == {}
    await watchful.quote(9_990, ts_ns=T0 + 11 * S)
    await watchful.settle()
    assert (watchful.status(oid("c1")), watchful.row(oid("c1")).reason) == (("canceled", 0), "RECONCILED")
    assert (watchful.status(oid("c2")), watchful.row(oid("c2")).reason) == (("rejected", 0), "NEVER_ARRIVED")
    assert watchful.status(oid("c3")) == ("new", 0)
    assert mended(watchful) == {"ORDER_GONE": 1, "ORDER_NEVER_ARRIVED": 1}
    assert state_hash(watchful.refold()) == state_hash(watchful.state)


async def test_an_answer_that_did_not_come_is_found_by_comparing(watchful: Ring) -> None:
    watchful.fault(Fault("delay", order=oid(), delay_ns=1_000 * S))
    await watchful.say(submit())
    assert watchful.status(oid()) == ("pending_new", 0)
    await watchful.quote(9_990, ts_ns=T0 + 11 * S)
    await watchful.settle()
    assert watchful.status(oid()) == ("new", 0)
    assert mended(watchful) == {"ORDER_WORKS": 1}


async def test_nothing_differs_on_a_quiet_day_nor_in_a_new_life(watchful: Ring) -> None:
    await watchful.say(submit("c1"), submit("c2"), submit("c3"))
    await watchful.trade(9_900, 4)
    await watchful.say(ReplaceOrder(account="a", ts_ns=T0, order=oid(), client_order_id="c4", qty="12"), cancel("c2"))
    await watchful.kill()
    await watchful.start()
    await watchful.quote(9_990, ts_ns=T0 + 60 * S)
    stats = watchful.lanes[0].stats()["reconciled"]
    assert stats["passes"] > 0
    assert stats | {"passes": 0} == {"passes": 0, "no_view": 0, "broken": 0, "mended": {}, "open": {}}
    assert watchful.lanes[0].stats()["open"] == 2


async def test_a_venue_that_is_away_mends_nothing(watchful: Ring) -> None:
    await watchful.say(submit())
    watchful.paper.forget([oid()])
    watchful.paper.disconnect()
    watchful.house.parts[1].advance(T0 + 60 * S)
    await watchful.settle()
    assert watchful.lanes[0].stats()["reconciled"]["no_view"] > 0
    assert mended(watchful) == {}


VERBS: tuple[RequestVerb, ...] = ("new", "cancel", "replace", "query")
DOUBT = {"pending_new", "pending_cancel", "pending_replace", "unknown"}
FAULTS = [
    *(Fault("drop_before", verb=verb) for verb in VERBS),
    *(Fault("drop_after", verb=verb) for verb in VERBS),
    *(Fault("delay", times=times, delay_ns=S) for times in (1, 3)),
    *(Fault("duplicate", times=times) for times in (1, 3)),
    *(Fault("late", times=times) for times in (1, 3)),
]


@pytest.mark.parametrize("first", FAULTS, ids=lambda fault: f"{fault.kind}-{fault.verb}-{fault.times}")
@pytest.mark.parametrize("second", FAULTS[::3], ids=lambda fault: f"{fault.kind}-{fault.verb}-{fault.times}")
async def test_two_faults_at_once_lose_and_double_nothing(tmp_path: Path, first: Fault, second: Fault) -> None:
    """The books of the owner equal what the venue has traded, and no order is left in doubt."""
    ring = Ring(tmp_path)
    await ring.start()
    await ring.quote(9_990)
    ring.fault(*(dataclasses.replace(fault) for fault in (first, second)))
    await ring.say(submit("c1"), submit("c2", qty="7"))
    await ring.trade(9_900, 4)
    await ring.say(ReplaceOrder(account="a", ts_ns=T0, order=oid("c2"), client_order_id="c3", qty="9"))
    await ring.say(cancel("c1"))
    await ring.trade(9_900, 5)
    for seconds in (2, 4):
        await ring.quote(9_990, ts_ns=T0 + seconds * S)
    async with asyncio.timeout(20):
        while DOUBT & {ring.status(order)[0] for order in ring.state.orders}:
            await asyncio.sleep(0.02)
            await ring.settle()
    said = [decode_command(record.value or b"") for record in ring.broker.records[ORDERS_COMMANDS.name, 0]]
    traded = {report.trade_id: int(report.qty) for report in said if isinstance(report, VenueFill)}
    account = ring.state.accounts["a"]
    assert account.exposure.holdings["XYZ.SIM"].qty == sum(traded.values())
    assert account.quarantined == 0
    book = ring.paper._venue.orders
    assert set(book) == set(account.open)
    # Only an execution that is still held back may end what is open here.
    assert not [order for order in book.values() if order.closing and not order.unconfirmed]
    assert state_hash(ring.refold()) == state_hash(ring.state)
    await ring.stop()
