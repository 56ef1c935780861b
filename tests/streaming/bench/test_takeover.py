"""The take-over bench: how long a pause is, who is asked, what a journal tells, and all of it on a real broker."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from streaming.api.keys import make_keys
from streaming.bench.order_client import Answer
from streaming.bench.takeover import Clients, Owner, _gaps, faults_of, main
from streaming.owner.desk import partition_of
from tests.kafka_node import KafkaNode
from tests.streaming.owner.places import Place, settings_of
from tests.streaming.poll import until
from tests.trading.orders.builders import limits_body, submit
from trading.commands import Deposit, OpenAccount, SetLimits


class Pool:
    """Answers with one status for ever."""

    def __init__(self, status: int) -> None:
        self.status, self.asked = status, 0

    async def call(self, payload: bytes, within_s: float) -> Answer:
        self.asked += 1
        return Answer(self.status, b"")


async def test_clients_stay_with_the_owner_that_answers_and_leave_one_that_does_not(tmp_path: Path) -> None:
    one, two = (Owner(name, tmp_path, "kafka://nowhere:1", []) for name in ("one", "two"))
    first, second = Pool(503), Pool(200)
    one.pool, two.pool = cast("Any", first), cast("Any", second)
    keys = [key for key in make_keys(["a"]) if "admin" not in key.scopes]
    clients = Clients([one, two], keys, rate=1_000.0)
    number = partition_of("a", 4)
    clients.start()
    await until(lambda: len(clients.acknowledged) > 3)
    assert (clients.served_by(number), first.asked) == ("two", 1)
    first.status, second.status = 200, 0
    await until(lambda: clients.served_by(number) == "one")
    await clients.stop()
    assert set(clients.codes) == {200}


def test_a_pause_is_the_time_between_two_answers() -> None:
    assert list(_gaps([1.0, 1.5, 4.0])) == [0.5, 2.5]


async def test_a_lost_order_is_found_in_the_journal(tmp_path: Path) -> None:
    async with Place(settings_of(tmp_path)) as place:
        await place.own()
        await place.price()
        await place.house.execute(OpenAccount(account="a", ts_ns=0, actor="x"), "t-1")
        await place.house.execute(Deposit(account="a", ts_ns=0, actor="x", ref="r", amount="1000000"), "t-2")
        await place.house.execute(SetLimits(account="a", ts_ns=0, actor="x", limits=limits_body()), "t-3")
        await place.house.execute(submit("c1"), "t-4")
        await place.close()
    broker = f"log://{tmp_path}/log"
    assert await faults_of(broker, {"c1"}) == []
    assert await faults_of(broker, {"c1", "c2"}) == ["lost: c2"]


@pytest.mark.kafka
def test_an_owner_is_killed_and_no_order_is_lost(own_node: KafkaNode, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--broker", own_node.url, "--rate", "50", "--rounds", "1", "--only", "kill_seen", "--json"])
    page = json.loads(capsys.readouterr().out)
    assert page["faults"] == []
    assert page["acknowledged"] > 0
    assert set(page["answers"]) == {"200"}
    assert [len(pauses) for pauses in page["pauses_s"].values()] == [1]
