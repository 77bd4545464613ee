"""Zenovay and HubSpot on loopback, as strict and as unreliable as the real ones may be.

Nothing is sent anywhere else. The web server (extra ``sandbox``) is imported when a Sandbox is made.
"""

from etl.sandbox.faults import Fault
from etl.sandbox.generator import Visitors
from etl.sandbox.hubspot import HubSpotWorld
from etl.sandbox.server import Sandbox
from etl.sandbox.wire import Exchange, Recorded, Violation
from etl.sandbox.zenovay import ZenovayWorld

__all__ = [
    "Exchange",
    "Fault",
    "HubSpotWorld",
    "Recorded",
    "Sandbox",
    "Violation",
    "Visitors",
    "ZenovayWorld",
]
