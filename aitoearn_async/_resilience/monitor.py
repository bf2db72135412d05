"""The health of the service as one client sees it: all requests learn from the trouble of each.

Trouble is charged to its cause: a route, or the host. Each route has a breaker and pauses of its
own, since one kind of endpoint can be down, or ask to be left alone, while the others are fine.
The host is down, and so all routes are, when no connection can be made, or when several routes are
down and none has answered since. Requests are held back meanwhile, and go out again at a pace
(`ramp`). What becomes of a request that is held back is decided by its sender.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from ..errors import AiToEarnError, ContractError, NotAskedError, RateLimitError, ServerError
from .breaker import BreakerState
from .charges import Charge, charge_of, may_be_the_hosts
from .limiter import RequestLimiter
from .pauses import FIRST_PAUSE_SECONDS
from .scopes import Admission, RouteScope, Scope

_MOST_ROUTES = 100
"""The most routes that are told apart: the service has ten."""
_SEVERAL_ROUTES = 2
"""The number of routes that must be down before the host counts as down."""

_WORST_FIRST = BreakerState.OPEN, BreakerState.RECOVERING, BreakerState.CLOSED


class ServiceMonitor:
    """The health of the service, as one client knows it.

    Args:
        address: The address of the service. The log names its host.
        limiter: Holds the pace at which requests go out, of the host and of each route.
        now: Tells the time.
    """

    def __init__(self, address: str, limiter: RequestLimiter, now: Callable[[], float]) -> None:
        self.held_back: int = 0
        """Requests that were not sent."""
        self.answered: bool = False
        """The service has answered as itself at least once."""
        self.address: str = address
        self.on_change: Callable[[], None] | None = None
        """Called when a breaker is in another state."""
        self._now = now
        self._limiter = limiter
        self._routes: dict[str, RouteScope] = {}
        self._host = Scope(
            urlsplit(address).hostname or address, limiter.pace, self._usual_rate, self._changed
        )
        self.all_well: bool = True
        """No scope is down, recovering or pausing, so that a request need look no further."""

    @property
    def state(self) -> BreakerState:
        """The state of the host, or of the route that is worst off."""
        states: set[BreakerState] = set()
        for scope in self._scopes():
            scope.see_whether_recovered()
            states.add(scope.breaker.state)
        return next(state for state in _WORST_FIRST if state in states)

    @property
    def outages(self) -> int:
        """The number of times that the host, or a route, has been down."""
        return sum(scope.breaker.outages for scope in self._scopes())

    def paused_for(self) -> float:
        """Return the seconds until the last pause of a route is over."""
        # A client that was not used yet must not read its clock: that would bind it to this loop.
        if self.all_well:
            return 0.0
        until = max((route.pauses.until for route in self._routes.values()), default=-math.inf)
        return max(0.0, until - self._now())

    def is_current(self, admission: Admission) -> bool:
        """Return whether a request may still be sent by an admission."""
        route = admission.route
        if admission.route_generation != route.breaker.generation:
            return False
        if admission.host_generation != self._host.breaker.generation:
            return False
        return self.all_well or self._now() >= route.pauses.until

    def admit(
        self, path: str, *, probe: bool = True, is_final: bool = False
    ) -> Admission | NotAskedError:
        """Return the admission of a request, or why it must not be sent now.

        Args:
            path: The path of its kind of endpoint, which names the route.
            probe: Whether it will do as a probe, where the host is down.
            is_final: Whether it is the final poll of a wait: it is sent though the service is down.

        Returns:
            The admission, to be handed in with the result of the request.
        """
        route = self._routes.get(path)
        if route is None:
            route = self._add(path)
        if self.all_well:
            return route.admission
        now = self._now()
        if now < route.pauses.until:
            why = f"{route.name} has asked to be left alone"
            return self._hold_back(why, route, route.pauses.until - now)
        scope: Scope = self._host
        may_probe = probe
        scope.see_whether_recovered()
        # While the host is down it alone decides: its probes go out on any route, down or not.
        if not scope.is_down:
            scope, may_probe = route, True
            scope.see_whether_recovered()
        if scope.is_down and not is_final and not (may_probe and scope.breaker.is_due(now)):
            since = now - scope.breaker.since
            return self._hold_back(f"{scope.name} is down, for {since:.0f} s so far", scope)
        self._host.breaker.admit(now)
        route.breaker.admit(now)
        self._look_whether_all_is_well(now)
        route.renew(self._host.breaker.generation)
        return route.admission

    def record_success(self, admission: Admission, sent: float, subject: str) -> None:
        """Note a good answer to a request that was sent at a moment.

        The subject is the task that was asked for, or whatever else the request was about.
        """
        route = admission.route
        self.answered = True
        route.usual.note(sent)
        route.answered_at = sent
        route.pauses.note_good(subject)
        if not self.all_well or route.breaker.streak or self._host.breaker.streak:
            self._note_sign_of_life(admission)

    def record_failure(
        self, admission: Admission, subject: str, error: AiToEarnError
    ) -> float | None:
        """Note that a request about a subject brought an error.

        Trouble counts little as long as one subject alone has it.

        Returns:
            Seconds for which the caller is to leave the service alone; None if it asks for none.
        """
        now, route, host = self._now(), admission.route, self._host
        charge = charge_of(error)
        if charge is Charge.SIGN_OF_LIFE:
            # An answer that breaks the contract, or a refusal in a gateway's words, may not come
            # from the service itself.
            is_own = not isinstance(error, ContractError) and getattr(error, "host", None) is None
            self.answered = self.answered or is_own
            self._note_sign_of_life(admission)
            return None
        # A copy is kept. The error itself goes to the caller, and once it was raised it holds the
        # caller's frames.
        route.trouble = copy.copy(error)
        if charge is Charge.HOST:
            host.trouble = route.trouble
            route.breaker.record_ignored(admission.route_generation)
            host.note_failure(admission.host_generation, None, error, now)
        elif charge is Charge.ROUTE:
            if isinstance(error, ServerError) and not self._is_trouble_of_the_host(error):
                # The host has answered: this route alone is in trouble.
                host.note_success(admission.host_generation, self._now)
            else:
                host.breaker.record_ignored(admission.host_generation)
            route.note_failure(admission.route_generation, subject, error, now)
            self._see_whether_routes_agree(now)
        else:
            self.record_ignored(admission)
        self.all_well = self.all_well and host.is_well and route.is_well
        asked: float | None = getattr(error, "retry_after", None)
        if asked is not None or isinstance(error, RateLimitError):
            pause = route.pauses.note_complaint(subject, asked, now)
            if pause is not None:
                self.all_well = False
                route.pause(pause, now)
                asked = pause.seconds  # each request that is held back adds something at random
            elif asked is None and not route.pauses.are_seldom:
                asked = FIRST_PAUSE_SECONDS
        return asked

    def _is_trouble_of_the_host(self, error: AiToEarnError) -> bool:
        """Return whether the host is down only because of such errors on several routes."""
        trouble = self._host.trouble if self._host.is_down else None
        if trouble is None or charge_of(trouble) is not Charge.ROUTE:
            return False
        return may_be_the_hosts(error)

    def _see_whether_routes_agree(self, now: float) -> None:
        """Count the host as down if several routes are, and none has answered since."""
        down = [route for route in self._routes.values() if route.is_down]
        if len(down) < _SEVERAL_ROUTES or self._host.is_down:
            return
        since = min(route.breaker.since for route in down)
        if any(route.answered_at >= since for route in self._routes.values()):
            return
        errors = [route.trouble for route in down if route.trouble is not None]
        if all(may_be_the_hosts(error) for error in errors):
            self._host.take_down(errors[0], now)

    def record_ignored(self, admission: Admission) -> None:
        """Note that a request tells nothing: the caller broke it off, or it was not sent."""
        admission.route.breaker.record_ignored(admission.route_generation)
        self._host.breaker.record_ignored(admission.host_generation)

    def _note_sign_of_life(self, admission: Admission) -> None:
        admission.route.note_success(admission.route_generation, self._now)
        self._host.note_success(admission.host_generation, self._now)

    def _hold_back(self, why: str, scope: Scope, retry_after: float | None = None) -> NotAskedError:
        self.held_back += 1
        error = NotAskedError(f"not asked, because {why}", retry_after=retry_after)
        error.__cause__ = scope.trouble
        return error

    def _add(self, path: str) -> RouteScope:
        if len(self._routes) >= _MOST_ROUTES:
            path = ""  # all further routes have this one together
        name = self._host.name + path
        route = self._routes.get(path) or RouteScope(name, self._limiter.new_pace(), self._changed)
        self._routes[path] = route
        return route

    def _scopes(self) -> Iterator[Scope]:
        yield self._host
        yield from self._routes.values()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def _usual_rate(self) -> float:
        """Return how many good answers a second the service usually gives."""
        return sum(route.usual.last() for route in self._routes.values())

    def _look_whether_all_is_well(self, now: float) -> None:
        if not all(scope.is_well for scope in self._scopes()):
            return
        if any(now < route.pauses.until for route in self._routes.values()):
            return
        self.all_well = True
        for route in self._routes.values():
            route.renew(self._host.breaker.generation)
