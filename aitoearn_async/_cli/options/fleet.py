"""The options that all commands of a fleet share."""

from __future__ import annotations

from dataclasses import dataclass

import click

from .groups import AS_JSON, option


@dataclass(frozen=True, repr=False)  # the address may hold a password
class FleetOptions:
    """The options of all commands of a fleet."""

    url: str | None = option(
        "--fleet",
        metavar="URL",
        envvar="AITOEARN_FLEET",
        help="postgresql://…, redis://… or sqlite:///FILE.  [default: sqlite:///aitoearn-fleet.db]",
    )
    name: str = option(
        metavar="NAME", default="fleet", help="The fleet's name in there.  [default: fleet]"
    )
    lease: float = option(
        metavar="SECONDS",
        type=click.FloatRange(min=1.0),
        default=15.0,
        help="The time until a silent member counts as dead.  [default: 15]",
    )


@dataclass(frozen=True, repr=False)
class FleetReportOptions(FleetOptions):
    """The options of the commands of a fleet that print what they find."""

    as_json: bool = AS_JSON
