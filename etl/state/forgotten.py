"""The forgotten table: tombstones, by which people are known again whom nobody can read out of them."""

from __future__ import annotations

import secrets
from hashlib import blake2b
from typing import TYPE_CHECKING

from sqlalchemy import select

from etl.state import tables
from etl.state.failures import of_a_row
from etl.state.statements import Insertion, Prepared, among

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from etl.models.contact import ContactKey
    from etl.state.notebook import Notebook
    from etl.state.statements import Statements

_SECRET = "tombstones"  # noqa: S105 -- the name of the note
_SECRET_BYTES = 32

_C = tables.forgotten.c
_FOUND = Prepared(lambda dialect: select(_C.digest).where(among(_C.digest, dialect)))
_ADD = Insertion(tables.forgotten, "digest")


class Forgotten:
    """Tombstones of keys, inside one transaction: hashes under a secret that is this state's own."""

    def __init__(self, statements: Statements, notebook: Notebook) -> None:
        self._statements = statements
        self._notebook = notebook

    def is_empty(self) -> bool:
        """Whether nobody was ever forgotten."""
        return self._notebook.get(_SECRET) is None

    def among(self, keys: Iterable[ContactKey]) -> set[ContactKey]:
        """Those of ``keys`` that have a tombstone."""
        secret = _bytes(self._notebook.get(_SECRET))
        if secret is None:
            return set()
        by_digest = {_digest(key, secret): key for key in keys}
        return {by_digest[digest] for digest in self._found(by_digest)}

    def bury(self, keys: Iterable[ContactKey]) -> None:
        """Make sure that each of ``keys`` has a tombstone."""
        secret = _bytes(self._notebook.get(_SECRET)) or self._new_secret()
        digests = {_digest(key, secret) for key in keys}
        self._statements.add_many(_ADD, [(digest,) for digest in digests - self._found(digests)])

    def _found(self, digests: Collection[bytes]) -> set[bytes]:
        return {digest for (digest,) in self._statements.among(_FOUND, digests)}

    def _new_secret(self) -> bytes:
        secret = secrets.token_bytes(_SECRET_BYTES)
        self._notebook.put(_SECRET, secret.hex())
        return secret


@of_a_row
def _bytes(note: str | None) -> bytes | None:
    return None if note is None else bytes.fromhex(note)


def _digest(key: ContactKey, secret: bytes) -> bytes:
    kind, text = key
    return blake2b(f"{kind}\n{text}".encode(), key=secret, digest_size=16).digest()
