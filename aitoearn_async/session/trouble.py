"""What went wrong, put into this package's errors: exceptions, and answers that say no.

Text from outside passes through here on its way to a message. What is to be done about it is
not decided here.
"""

from __future__ import annotations

from typing import cast

from yarl import URL

from ..errors import ApiError, RequestTimeoutError, TransportError, UnexpectedResponseError
from .address import origin_of
from .answer import Answer
from .classify import Phase, Verdict, classify, said_by
from .keys import Keys
from .retry import retry_after


class TooLarge(Exception):
    """An answer goes on past the cap."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(most_bytes)
        self.most_bytes = most_bytes


class Trouble:
    """Makes the errors of one client.

    Args:
        base_url: The service.
        keys: What no message may hold.
    """

    def __init__(self, base_url: URL, keys: Keys) -> None:
        self._base_url = base_url
        self._keys = keys

    def raised(self, exc: Exception, request_id: str, waited: float) -> TransportError:
        """What an exception on the way to an answer comes to, after so many seconds."""
        if isinstance(exc, TooLarge):
            return UnexpectedResponseError(
                f"the answer is larger than {exc.most_bytes:,} bytes (max_response_bytes=)",
                request_id,
                label="huge answer",
                transient=False,
            )
        verdict = classify(Phase.EXCHANGE, exception=exc)
        if verdict.error is RequestTimeoutError:
            text = f"no answer from {self._base_url.host} within {waited:.1f} s"
        else:
            detail = self.scrubbed(" ".join(said_by(exc).split())) or type(exc).__name__
            text = f"{verdict.text}: {detail}"
        return cast("type[TransportError]", verdict.error)(
            text, request_id, label=verdict.label, transient=verdict.transient
        )

    def refused(self, code: int, message: str, answer: Answer, request_id: str) -> ApiError:
        """What an answer comes to in which the service says no, in its own words."""
        verdict = classify(Phase.ANSWER, status=answer.status, code=code)
        return cast("type[ApiError]", verdict.error)(
            code,
            self.scrubbed(message),
            request_id,
            answer.status,
            retry_after=retry_after(answer.headers),
        )

    def rejection(self, answer: Answer, request_id: str) -> ApiError | TransportError:
        """What an answer comes to that is not in the service's own words."""
        verdict = classify(Phase.ANSWER, status=answer.status)
        text = f"HTTP {answer.status}: {self._reason(verdict, answer)}"
        wait = retry_after(answer.headers)
        if issubclass(verdict.error, ApiError):
            return verdict.error(answer.status, text, request_id, answer.status, retry_after=wait)
        return verdict.error(
            text,
            request_id,
            answer.status,
            label=verdict.label if answer.status != 200 else "no JSON",
            retry_after=wait,
            transient=verdict.transient,
        )

    def _reason(self, verdict: Verdict, answer: Answer) -> str:
        if 300 <= answer.status < 400 and answer.status != 304:
            target = self.scrubbed(origin_of(answer.headers.get("Location", ""), self._base_url))
            return f"{verdict.text}, to {target}; is base_url= right?"
        return f"{verdict.text}; it begins {self._excerpt(answer.body)!r}"

    def _excerpt(self, body: bytes) -> str:
        text = " ".join(body[:1000].decode("utf-8", "replace").split())
        return self.scrubbed(text)

    def scrubbed(self, text: str) -> str:
        """Text from outside, fit to be shown: short, printable, without the key."""
        text = self._keys.hidden_in(text)[:200]
        return "".join(c if c.isprintable() else "?" for c in text)
