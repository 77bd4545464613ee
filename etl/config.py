"""What the configuration file says, understood."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from etl.declaration import NOTHING, Declaration
from etl.exclusions import NOBODY, Exclusions

if TYPE_CHECKING:
    from etl.fields import Field
    from etl.policies import Policy


class Config(NamedTuple):
    """One's own fields, whom to leave out, the policies of this program's own fields, and the fleet."""

    own: tuple[Field, ...] = ()
    exclusions: Exclusions = NOBODY
    policies: tuple[tuple[str, Policy], ...] = ()
    fleet: Declaration = NOTHING
