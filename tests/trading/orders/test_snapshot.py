"""Snapshot + tail gives the state from genesis, in every process."""

import subprocess
import sys

from tests.trading.orders.builders import T0, S, ack, canceled, desk, fill, market, step, submit
from trading.commands import AnyCommand, CancelOrder, Kill, ReplaceOrder, SetMode, Timer
from trading.orders.idempotency import order_id
from trading.orders.journal import append, fold, read_record, split
from trading.orders.oms import decide
from trading.orders.snapshot import all_rows, changed_rows, restore, state_hash, watermark
from trading.orders.state import KNOWN_IN_ROW, RETIRE_AFTER_NS, State

PROGRAM = "from tests.trading.orders.test_snapshot import history; print(history()[1])"


def commands() -> list[AnyCommand]:
    script: list[AnyCommand] = []
    for n in range(12):
        cid = f"c{n}"
        strategy = f"s{n % 3}"
        script += [submit(cid, qty=str(n + 1), limit_price=str(90 + n % 5), strategy=strategy), ack(cid)]
        if n % 3 == 0:
            script.append(fill(f"t{n}", cid, qty="1"))
        if n % 3 == 1:
            script += [CancelOrder(account="a", ts_ns=T0, order=order_id("a", cid)), canceled(cid)]
        if n % 4 == 3:
            script.append(
                ReplaceOrder(account="a", ts_ns=T0, order=order_id("a", cid), client_order_id=f"r{n}", qty="20")
            )
    script += [
        submit("big", qty="99999"),
        fill("lost", "nobody"),
        SetMode(account="a", ts_ns=T0, actor="p", scope="strategy", target="s1", mode="halted"),
        Timer(account="", ts_ns=T0 + 40 * S),
        Timer(account="", ts_ns=T0 + RETIRE_AFTER_NS),
        Kill(account="", ts_ns=T0 + RETIRE_AFTER_NS, actor="p"),
    ]
    return script


def history() -> tuple[list[bytes], str]:
    state, records = desk(), []
    for command in commands():
        view = market(command.ts_ns)
        for account, events in split(decide(state, command, view)):
            records.append(append(state, account, "x", T0, events))
    return records, state_hash(state)


def test_every_snapshot_and_its_tail_give_the_same_state() -> None:
    records, final = history()
    genesis = desk()
    for k, payload in enumerate(records):
        rows = [*all_rows(genesis), watermark(genesis, k)]
        restored, offset = restore(rows)
        assert offset == k
        assert state_hash(restored) == state_hash(genesis)
        if k % 5 == 0:
            for later in records[k:]:
                fold(restored, read_record(later))
            assert state_hash(restored) == final
        fold(genesis, read_record(payload))
    assert state_hash(genesis) == final


def test_changed_rows_alone_keep_a_compacted_snapshot_whole() -> None:
    records, final = history()
    state = desk()
    store: dict[str, bytes] = {}

    def save() -> None:
        for key, value in changed_rows(state):
            if value is None:
                store.pop(key, None)
            else:
                store[key] = value
        state.dirty.clear()
        key, value = watermark(state, state.seq)
        store[key] = value

    save()
    for n, payload in enumerate(records):
        fold(state, read_record(payload))
        if n % 3 == 0:
            save()
    save()
    assert state_hash(restore(reversed(store.items()))[0]) == final


def test_a_fill_of_the_old_order_saves_the_pending_replacement_too() -> None:
    state = desk()
    for command in (
        submit(),
        ack(),
        ReplaceOrder(account="a", ts_ns=T0, order=order_id("a", "c1"), client_order_id="r1", qty="20"),
    ):
        step(state, command)
    store = dict(all_rows(state))
    state.dirty.clear()
    step(state, fill(qty="4"))
    store |= {key: value for key, value in changed_rows(state) if value is not None}
    assert store == dict(all_rows(state))


def test_the_row_of_an_account_is_as_small_as_before_whatever_it_has_traded() -> None:
    state = desk()
    step(state, submit("c", qty="1"))
    step(state, fill("t", "c", qty="1"))
    (small,) = [value for key, value in all_rows(state) if key == "account/a"]
    for n in range(200):
        step(state, submit(f"c{n}", qty="1", ts_ns=T0 + n * S))
        step(state, fill(f"t{n}", f"c{n}", qty="1", ts_ns=T0 + n * S))
    (large,) = [value for key, value in all_rows(state) if key == "account/a"]
    assert len(large) < len(small) + 100
    restored, _ = restore([*all_rows(state), watermark(state, 0)])
    assert restored.accounts["a"].ended == state.accounts["a"].ended
    assert restored.accounts["a"].trades == state.accounts["a"].trades


def test_what_is_known_for_ever_is_written_once() -> None:
    state = desk()
    for n in range(2 * KNOWN_IN_ROW + 3):
        step(state, submit(f"c{n}", qty="99999"))
    rows = dict(all_rows(state))
    assert [key for key in rows if key.startswith("known/")] == [f"known/a/{n:08d}" for n in range(3)]
    state.dirty.clear()
    step(state, submit("one more", qty="99999"))
    changed = {key: value for key, value in changed_rows(state) if value is not None}
    assert [key for key in changed if key.startswith("known/")] == ["known/a/00000002"]
    restored, _ = restore(reversed([*(rows | changed).items(), watermark(state, 0)]))
    assert restored.accounts["a"].arrived == state.accounts["a"].arrived
    assert state_hash(restored) == state_hash(state)


def test_orders_retire_by_the_time_of_their_end_though_the_clock_went_back() -> None:
    state = desk()
    for cid, ts_ns in (("c1", T0 + 2 * S), ("c2", T0), ("c3", T0 + S)):
        step(state, submit(cid))
        step(state, fill(cid, cid, ts_ns=ts_ns))
    restored, _ = restore([*all_rows(state), watermark(state, 0)])
    for each in (state, restored):
        step(each, Timer(account="", ts_ns=T0 + S + RETIRE_AFTER_NS))
        assert set(each.orders) == {order_id("a", "c1")}
    assert state_hash(restored) == state_hash(state)


def test_a_snapshot_of_another_version_counts_as_none() -> None:
    state = desk()
    step(state, submit())
    rows = [*all_rows(state), watermark(state, 7)]
    older = [(key, value.replace(b"orders.state/3", b"orders.state/1")) for key, value in rows]
    assert (restore(rows)[1], len(restore(rows)[0].orders)) == (7, 1)
    assert (restore(older)[1], restore(older)[0].orders) == (-1, {})


def test_decisions_after_a_restore_are_the_same() -> None:
    state = State()
    records, _ = history()
    state = desk()
    for payload in records[:-2]:
        fold(state, read_record(payload))
    restored, _ = restore([*all_rows(state), watermark(state, 0)])
    for command in (submit("n1"), submit("c3"), Timer(account="", ts_ns=T0 + 2 * RETIRE_AFTER_NS)):
        assert decide(restored, command, market()) == decide(state, command, market())


def test_hash_seeds_and_processes_do_not_matter() -> None:
    seen = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert seen == {history()[1] + "\n"}
