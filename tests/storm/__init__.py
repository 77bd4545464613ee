"""The sandbox in bad weather: faults, dialects, moods and odd clocks around its good day, and a log."""

from storm.faults import FOREVER, Delivery, Fault
from storm.log import Exchange
from storm.sandbox import Storm
from storm.worlds import StormyHubSpot, StormyTeam, StormyZenovay

__all__ = [
    "FOREVER",
    "Delivery",
    "Exchange",
    "Fault",
    "Storm",
    "StormyHubSpot",
    "StormyTeam",
    "StormyZenovay",
]
