"""extract → absorb → transform → load → commit."""

from etl.pipeline.order import Order
from etl.pipeline.run import sync

__all__ = ["Order", "sync"]
