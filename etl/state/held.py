"""What the owner of the lock need not read again: only he writes it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.models.reading import KnownWebsite


class Held:
    """Notes and websites, as they were read or written under the lock by committed transactions.

    ``notes`` are all there are, None as long as nobody has asked for one; ``websites`` those that somebody
    has asked for. ``is_changed`` says that a transaction has written some of it.
    """

    def __init__(self) -> None:
        self.notes: dict[str, object] | None = None
        self.websites: dict[str, KnownWebsite] = {}
        self.is_changed = False

    def forget(self) -> None:
        """Read it anew when it is asked for."""
        self.notes = None
        self.websites.clear()
        self.is_changed = False

    def renew(self, website: KnownWebsite) -> None:
        """This is what is known of a website now."""
        self.is_changed = True
        for name, known in self.websites.items():
            if known.id == website.id:
                self.websites[name] = website

    @contextmanager
    def until_the_end(self, *, commits: bool) -> Iterator[None]:
        """Around a transaction: what it has written and not committed is not held."""
        try:
            yield
        except BaseException:
            self.forget()
            raise
        if self.is_changed and not commits:
            self.forget()
        self.is_changed = False
