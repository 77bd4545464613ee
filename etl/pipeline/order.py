"""What a run is told to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from etl.exclusions import NOBODY
from etl.fields import BASIC_FIELDS

if TYPE_CHECKING:
    from datetime import datetime

    from etl.exclusions import Exclusions
    from etl.fields import SyncedFields
    from etl.models.contact import ContactKind
    from etl.models.summary import RunKind


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done. Without ``since`` the window begins ``initial`` before the source's clock.

    ``lookback`` is read again behind the watermark, and the whole newest range every ``sweep_interval``
    (None: not now).
    ``anonymous``: also visitors without address and link are delivered. Contacts of the kinds ``matched`` are
    never made; who was absent is looked for again after ``recheck``. ``recreate``: a record that is gone is
    made again. ``merge``: what was made for an anonymous visitor is merged into whom it turned out to be.
    ``links``: learn first who is who. Visitors who were not seen for ``retention`` are not kept.
    ``exclusions`` cover whom the state must not hold.
    ``max_rejected`` is the share of the verdicts above which rejections stop the run, ``max_changed`` that of
    the contacts to be updated above which it writes over no value that is not this program's own. What a run
    replaces is kept for ``undo``.
    """

    run: str
    kind: RunKind
    website: str
    since: datetime | None = None
    until: datetime | None = None
    lookback: timedelta = timedelta(0)
    sweep_interval: timedelta | None = timedelta(hours=24)
    initial: timedelta = timedelta(days=30)
    anonymous: bool = True
    matched: frozenset[ContactKind] = frozenset()
    recheck: timedelta = timedelta(days=7)
    recreate: bool = False
    merge: bool = False
    retention: timedelta = timedelta(days=400)
    links: bool = True
    concurrency: int = 4
    synced: SyncedFields = BASIC_FIELDS
    exclusions: Exclusions = NOBODY
    max_rejected: float = 0.2
    max_changed: float = 0.3
    undo: timedelta = timedelta(days=7)
    dry_run: bool = False
