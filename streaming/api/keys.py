"""Key pairs of the order API: made at the first start into a file for its owner only, compared in constant time.

Secrets are never logged. A file that others can read is refused, and so is one that is not whole.
"""

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from streaming.settings import ConfigError

KEYS_FILE = "keys.json"
PRIVATE = 0o600
KEY_ID_BYTES = 10
SECRET_BYTES = 30
Scope = Literal["read", "trade", "admin"]
ADMIN = "admin"


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key pair: whose it is, and what it may do."""

    key_id: Annotated[str, Meta(min_length=8, max_length=64)]
    secret: Annotated[str, Meta(min_length=16, max_length=128)]
    account: Annotated[str, Meta(min_length=1, max_length=128)]
    scopes: frozenset[Scope]
    actor: Annotated[str, Meta(min_length=1, max_length=128)]

    def __repr__(self) -> str:
        """Show everything but the secret."""
        return f"Key({self.key_id}, {self.account}, {sorted(self.scopes)})"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: Literal[1]
    keys: tuple[Key, ...]


class KeyRing:
    """The keys that are let in."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.key_id: key for key in keys}
        self._decoy = secrets.token_urlsafe(SECRET_BYTES)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys.values())

    def find(self, key_id: str, secret: str) -> Key | None:
        """Return the key of a pair, or None; unknown ids take as long as wrong secrets."""
        key = self._keys.get(key_id)
        wanted = self._decoy if key is None else key.secret
        same = compare_digest(wanted.encode(), secret.encode(errors="replace"))
        return key if same else None


def make_keys(accounts: Sequence[str]) -> list[Key]:
    """Return a trading key for each account, and two for administrators: two people lift a kill switch."""
    keys = [_new(account, ("read", "trade"), account) for account in accounts]
    return keys + [_new(accounts[0], ("read", "trade", "admin"), f"{ADMIN}-{n}") for n in (1, 2)]


def open_keys(home: Path, accounts: Sequence[str]) -> KeyRing:
    """Read `keys.json` of the home, or make it; a new account gets a key.

    Raises `ConfigError` if the file is not private or not whole.
    """
    path = home / KEYS_FILE
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return KeyRing(_write(path, make_keys(accounts)))
    except OSError as error:
        raise ConfigError(str(path), "(file)", f"cannot be read: {error.strerror}") from None
    with os.fdopen(handle, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        if mode & ~PRIVATE:
            raise ConfigError(str(path), "(file)", f"others can read it (mode {mode:o}): chmod 600 and change the keys")
        try:
            keys = list(msgspec.json.decode(file.read(), type=_File).keys)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(str(path), "keys", str(error)) from None
    known = {key.account for key in keys}
    new = [_new(account, ("read", "trade"), account) for account in accounts if account not in known]
    return KeyRing(_write(path, keys + new) if new else keys)


def _write(path: Path, keys: list[Key]) -> list[Key]:
    path.parent.mkdir(parents=True, exist_ok=True)
    # The whole file appears at once, private from its first byte.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(_File(1, tuple(keys)), order="deterministic")))
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    return keys


def _new(account: str, scopes: Sequence[Scope], actor: str) -> Key:
    return Key(
        f"PK{secrets.token_hex(KEY_ID_BYTES).upper()}",
        secrets.token_urlsafe(SECRET_BYTES),
        account,
        frozenset(scopes),
        actor,
    )
