"""Zenovay, HubSpot and the team that is told, on loopback, on a good day: nothing breaks, nothing is late.

Nothing is sent anywhere else. The web server (extra ``sandbox``) is imported when a Sandbox is made.
"""

from etl.sandbox.generator import Visitors
from etl.sandbox.hubspot import HubSpotWorld
from etl.sandbox.server import Sandbox
from etl.sandbox.team import TeamWorld
from etl.sandbox.zenovay import ZenovayWorld

__all__ = ["HubSpotWorld", "Sandbox", "TeamWorld", "Visitors", "ZenovayWorld"]
