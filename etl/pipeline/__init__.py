"""extract → absorb → transform → load → commit."""

from etl.pipeline.run import Order, sync

__all__ = ["Order", "sync"]
