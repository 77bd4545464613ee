"""``visitor-sync`` with a fleet whose minutes are seconds: ticks, heartbeats, and the least interval.

Run as a script, with the command's arguments.
"""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import patch

from etl import declaration
from etl.cli import main
from etl.fleet import engine

EACH_SECOND = "* * * * * *"

if __name__ == "__main__":
    with (
        patch.object(engine, "EACH_MINUTE", EACH_SECOND),
        patch.object(engine, "HEARTBEAT_S", 0.5),
        patch.object(engine, "STALE_S", 2.0),
        patch.object(declaration, "LEAST", timedelta(seconds=1)),
    ):
        main()
