"""Keys are made once, for their owner only, and compared whole; a file that is open to others or broken is refused."""

import json
import stat
from pathlib import Path

import pytest

from streaming.api.keys import KEYS_FILE, KeyRing, make_keys, open_keys
from streaming.settings import ConfigError


def test_the_first_start_makes_private_keys_and_the_next_reads_them(tmp_path: Path) -> None:
    first = {key.key_id: key.secret for key in open_keys(tmp_path, ("a", "b"))}
    path = tmp_path / KEYS_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {key.key_id: key.secret for key in open_keys(tmp_path, ("b", "a"))} == first
    assert [entry.name for entry in tmp_path.iterdir()] == [KEYS_FILE]


def test_a_new_account_gets_a_key_beside_the_old_ones(tmp_path: Path) -> None:
    first = {key.key_id for key in open_keys(tmp_path, ("a",))}
    more = list(open_keys(tmp_path, ("a", "b")))
    assert first < {key.key_id for key in more}
    assert [(key.account, sorted(key.scopes)) for key in more if key.key_id not in first] == [("b", ["read", "trade"])]
    assert stat.S_IMODE((tmp_path / KEYS_FILE).stat().st_mode) == 0o600
    assert {key.key_id for key in open_keys(tmp_path, ("a",))} == {key.key_id for key in more}


def test_each_account_trades_and_two_people_administer() -> None:
    keys = make_keys(("a", "b"))
    assert [(key.account, key.actor, "admin" in key.scopes) for key in keys] == [
        ("a", "a", False),
        ("b", "b", False),
        ("a", "admin-1", True),
        ("a", "admin-2", True),
    ]
    assert len({key.secret for key in keys}) == len(keys)


def test_a_key_is_found_by_the_whole_pair_and_does_not_show_its_secret() -> None:
    key, other, *_ = make_keys(("a", "b"))
    ring = KeyRing([key, other])
    assert ring.find(key.key_id, key.secret) is key
    for key_id, secret in (
        (key.key_id, other.secret),
        ("", ""),
        (key.key_id, ""),
        ("x", key.secret),
        ("\udce9", "\udce9"),
    ):
        assert ring.find(key_id, secret) is None
    assert key.secret not in repr(key)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    open_keys(tmp_path, ("a",))
    (tmp_path / KEYS_FILE).chmod(0o640)
    with pytest.raises(ConfigError, match="others can read it"):
        open_keys(tmp_path, ("a",))


@pytest.mark.parametrize(
    "text", ["", "[]", '{"version":1}', '{"version":2,"keys":[]}', '{"version":1,"keys":[{}]}', "\ufffd{"]
)
def test_a_file_that_is_not_whole_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / KEYS_FILE
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(ConfigError, match="keys"):
        open_keys(tmp_path, ("a",))
    assert path.read_text() == text


def test_an_unknown_scope_is_refused(tmp_path: Path) -> None:
    open_keys(tmp_path, ("a",))
    path = tmp_path / KEYS_FILE
    page = json.loads(path.read_text())
    page["keys"][0]["scopes"] = ["root"]
    path.write_text(json.dumps(page))
    with pytest.raises(ConfigError, match="root"):
        open_keys(tmp_path, ("a",))


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    open_keys(tmp_path / "elsewhere", ("a",))
    (tmp_path / KEYS_FILE).symlink_to(tmp_path / "elsewhere" / KEYS_FILE)
    with pytest.raises(ConfigError, match="cannot be read"):
        open_keys(tmp_path, ("a",))
