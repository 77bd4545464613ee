"""The program with a stopwatch on its parts; at its end the CPU seconds of each go to the file ``PROFILE``.

A part that another part calls counts in both.
"""

from __future__ import annotations

import importlib
import json
import os
import threading
import time
from functools import wraps
from pathlib import Path
from typing import Any

from etl import cli

PARTS = {
    "asking for pages": ("etl.extract.endpoint", "Endpoint", "page"),
    "reading pages": ("etl.extract.cursor", "Cursor", "take"),
    "absorbing pages": ("etl.pipeline.intake", "Intake", "_absorb"),
    "cutting batches": ("etl.pipeline.outbox", "Outbox", "pump"),
    "delivering batches": ("etl.load.delivery", "HubSpotContacts", "deliver"),
    "settling verdicts": ("etl.pipeline.outbox", "Outbox", "_settle"),
    "in these, SQL: many rows": ("sqlalchemy.engine.default", "DefaultDialect", "do_executemany"),
    "in these, SQL: the rest": ("sqlalchemy.engine.default", "DefaultDialect", "do_execute"),
    "in these, SQL: commits": ("sqlalchemy.engine.default", "DefaultDialect", "do_commit"),
    "in these, requests to HubSpot": ("etl.load.client", "HubSpotClient", "_exchange"),
}
spent = dict.fromkeys(PARTS, 0.0)
lock = threading.Lock()


def watch(part: str, module: str, owner: str, name: str) -> None:
    """Count the CPU seconds of the thread that calls this method."""
    kind: Any = getattr(importlib.import_module(module), owner)
    method = getattr(kind, name)

    @wraps(method)
    def timed(*args: Any, **options: Any) -> Any:
        started = time.thread_time()
        try:
            return method(*args, **options)
        finally:
            with lock:
                spent[part] += time.thread_time() - started

    setattr(kind, name, timed)


def leave(code: int, *, really: Any = os._exit) -> None:
    """In the place of ``os._exit``, with which the program ends."""
    told = spent | {"everything": time.process_time()}
    Path(os.environ["PROFILE"]).write_text(json.dumps(told))
    really(code)


for part, place in PARTS.items():
    watch(part, *place)
os._exit = leave  # type: ignore[assignment]
cli.main()
