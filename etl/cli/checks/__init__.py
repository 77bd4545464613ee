"""``check``: proves the whole path without writing anything.

The settings come first: without them nothing is asked of anybody. Then the state, and each API for itself:
what one of them refuses, or an outage of it, keeps only its own other checks from being made.
"""

from etl.cli.checks.command import check_all

__all__ = ["check_all"]
