"""The errors of a fleet. An error of the service is in the `Outcome` of its ref."""

from __future__ import annotations

from aitoearn_async import AiToEarnError


class FleetError(AiToEarnError):
    """The fleet's engine cannot be used as asked.

    Attributes:
        message: The trouble, and what to do about it. It holds no password.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class FleetNotFoundError(FleetError):
    """There is no fleet of this name at the address, and none may be made (`create=False`)."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"no fleet here: {reason}")


class FleetUnavailableError(FleetError):
    """The engine cannot be reached now, or is out of room. The same call may succeed later.

    A worker and a reader go on trying. `add` and `status` raise it after the fleet's `patience`.
    """

    transient: bool = True


class LeaseLostError(FleetError):
    """The member's lease is over: what it held belongs to others, and it can write no more."""

    def __init__(self, member: int) -> None:
        super().__init__(f"the lease of member {member} is over")


class StaleCallError(FleetError):
    """Another try of this call was carried out, or a later call: what this one did is undone."""

    def __init__(self) -> None:
        super().__init__("another try of this call was carried out, or a later call")


def unusable(where: str, text: str, *, passing: bool) -> FleetError:
    """Return the error for an engine that cannot be used, now or at all."""
    if passing:
        return FleetUnavailableError(f"{where} cannot be used now: {text}")
    return FleetError(f"{where} cannot be used: {text}")


def without_password(url: str) -> str:
    """Return an engine's address as errors may show it: without its password.

    Also where that has characters in it which end the host of an address, as `/`, `#` and `?` do.
    """
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    return f"{scheme}://{'...' if '@' in query else place.rpartition('@')[2]}"
