"""Orders from a terminal, against the real order API behind a real server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.commands import desk
from orchestration.commands.failure import CommandError
from orchestration.commands.overview import RUNNING_FILE
from tests.api_rig import KEYS, Rig, Served


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("TRADE_HOME", str(home))
    rows = [
        {"key_id": key.key_id, "secret": key.secret, "account": key.account, "scopes": sorted(key.scopes)}
        for name, key in KEYS.items()
        if name != "reader"
    ]
    (home / "keys.json").write_text(json.dumps({"keys": rows}))
    with Served(Rig(tmp_path)) as server:
        host, _, port = server.address.partition(":")
        (home / RUNNING_FILE).write_text(json.dumps({"host": host, "port": int(port)}))
        server.do(server.rig.fund("a", "b"))
        yield server


def trade(*args: str) -> str:
    done = CliRunner().invoke(app, args, catch_exceptions=False, standalone_mode=False)
    assert done.return_value in (None, 0), done.output
    return done.output


def wrong(*args: str) -> CommandError:
    done = CliRunner().invoke(app, args, standalone_mode=False)
    assert isinstance(done.exception, CommandError), done.output
    return done.exception


def test_an_order_and_its_whole_story(served: Served) -> None:
    sent = json.loads(trade("order", "buy", "BTC/USD", "0.5", "--limit", "49000", "--id", "mine", "--json"))
    assert (sent["type"], sent["limit_price"], sent["client_order_id"]) == ("limit", "49000", "mine")
    again = json.loads(trade("order", "buy", "BTC/USD", "0.5", "--limit", "49000", "--id", "mine", "--json"))
    assert again["id"] == sent["id"]
    served.do(served.rig.ack(sent["id"]))
    served.do(served.rig.fill(sent["id"], "0.5", "48999"))
    by_id, by_name = trade("why", sent["id"]), trade("why", "mine")
    assert by_id == by_name
    assert "BTC-USD.SIM in account a: filled" in by_id
    for fact in ("order_accepted", "order_filled", "hash right", "max_order_qty", "because of http:"):
        assert fact in by_id
    assert [line.split()[1] for line in by_id.splitlines() if line.startswith("  price ")] == ["50000"]
    assert json.loads(trade("why", "mine", "--json"))["outcome"] == "filled"


def test_a_client_id_that_looks_like_ours_is_found_too(served: Served) -> None:
    name = "9f1c8b7e-0000-4000-8000-00000000abcd"
    sent = json.loads(trade("order", "buy", "BTC/USD", "0.5", "--limit", "49000", "--id", name, "--json"))
    assert json.loads(trade("why", name, "--json"))["order_id"] == sent["id"]
    assert wrong("why", name.replace("d", "e")).code == "ORDER_UNKNOWN"


@pytest.mark.parametrize(
    ("prices", "kind"),
    [((), "market"), (("--stop", "51000"), "stop"), (("--stop", "51000", "--limit", "51000"), "stop_limit")],
)
def test_the_prices_say_which_type_it_is(served: Served, prices: tuple[str, ...], kind: str) -> None:
    assert json.loads(trade("order", "buy", "BTC/USD", "0.1", *prices, "--json"))["type"] == kind


def test_orders_of_an_account_are_listed(served: Served) -> None:
    assert trade("orders") == "no open orders\n"
    trade("order", "buy", "BTC/USD", "0.5", "--limit", "49000", "--account", "b", "--id", "of-b")
    assert trade("orders", "--status", "all") == "no orders\n"
    (line,) = trade("orders", "--account", "b").splitlines()
    assert "buy 0.5 BTC/USD limit at 49000 gtc" in line
    assert line.endswith("(of-b)")


def test_a_refusal_names_rule_limit_value_and_what_would_pass(served: Served) -> None:
    error = wrong("order", "buy", "BTC/USD", "1001", "--limit", "49000")
    assert error.code == "MAX_ORDER_QTY"
    assert "MAX_ORDER_QTY limit 1000, value 1001" in str(error)
    assert "the largest quantity that passes is" in str(error)
    assert wrong("why", "nobody").code == "ORDER_UNKNOWN"
    assert wrong("order", "buy", "NOPE", "1").code == "INSTRUMENT_UNKNOWN"
    assert "known: a, b, gone, poor" in str(wrong("orders", "--account", "c"))


def test_the_kill_switch_is_pulled_by_one_and_lifted_by_another(served: Served) -> None:
    trade("order", "buy", "BTC/USD", "0.5", "--limit", "49000")
    assert "1 cancels asked for" in trade("kill", "--reason", "test")
    assert wrong("order", "buy", "BTC/USD", "0.5").code == "KILL_SWITCH"
    assert "off" in trade("kill", "--lift")
    assert json.loads(trade("kill", "--keep-open", "--json"))["killed"] is True


def test_without_a_platform_the_message_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setenv("TRADE_HOME", str(tmp_path))
    monkeypatch.setenv("TRADE_HTTP__PORT", str(free_port))
    with pytest.raises(CommandError, match="KEYS_UNREADABLE"):
        desk.orders(desk.Where(), "open")
    rows = [
        {"key_id": key.key_id, "secret": key.secret, "account": key.account, "scopes": sorted(key.scopes)}
        for key in KEYS.values()
    ]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": rows}))
    with pytest.raises(CommandError, match=f"NO_PLATFORM: nothing answers at http://127.0.0.1:{free_port}"):
        desk.orders(desk.Where(), "open")
