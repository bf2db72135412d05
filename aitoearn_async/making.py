"""What a client can make and find: the half of `Client` that submits.

`client` builds the rooms; here are the calls, and no rules.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from .arguments import page_size as checked_page_size
from .contract.catalog import EditModel, ImageModel, VideoModel
from .contract.endpoints import EDIT_MODELS, IMAGE_MODELS, VIDEO_MODELS
from .contract.models import Task
from .contract.refs import TaskRef
from .contract.requests import TaskRequest
from .errors import AiToEarnError
from .finder import Finder
from .listing import SkippedVideo, VideoList
from .polling.schedule import WaitStrategy
from .polling.step import Terms
from .polling.waiter import Waiter
from .submitter import Submitter

T = TypeVar("T", bound=Task)
R = TypeVar("R", bound=TaskRef[Any])


class Making:
    """Submits, and finds what was submitted."""

    _submitter: Submitter
    _finder: Finder

    async def submit(self, request: TaskRequest[R], *, check: bool = False) -> R:
        """Have something made. It spends credits, so it is sent once.

            ref = await client.submit(GenerateImage(model="gpt-image-2", prompt="a cat"))

        It is sent again, up to `attempts` in all, only after trouble in which the service
        certainly did not take it: there was no connection, the body did not go out whole, or
        the answer is 429. On a connection of its own, so that none has gone stale; a
        `session` of yours is used as it is. A large body gets more time than
        `request_timeout`: a second for each 128 KiB.

        A wait of this client for the task believes that there is no such task, or that the key
        is wrong, when it is said twice: the service has just said otherwise.

        Args:
            request: What to make: a `GenerateImage`, an `EditImage` or a `GenerateVideo`.
                Files in it are read on a thread, and sent as data URIs.
            check: Also compare the request with what its model accepts, as the service lists
                it. The list is kept for five minutes.

        Returns:
            The task, to wait for: an `ImageRef` or a `VideoRef`.

        Raises:
            ValueError: A file is no image, or too large: the body may have 50 MiB. Or, with
                `check`, the model does not accept the request. Nothing was sent.
            OSError: A file cannot be read. Nothing was sent.
            SubmitUncertainError: It was sent, and what became of it is not known; also if the
                client was closed meanwhile. Cancelling such a call puts a note of the same
                words on the `CancelledError`.
            ApiError: The service refuses: a wrong key, an invalid request (400), an unknown
                model (12300) or group (12801). No task was made.
            TransportError: The service could not be reached. No task was made.
            ClientClosedError: The client is closed.
        """
        return await self._submitter.submit(request, check=check)

    async def run(
        self,
        request: TaskRequest[TaskRef[T]],
        *,
        timeout: float | None = 1800.0,
        wait: WaitStrategy | None = None,
        patience: float | None = 300.0,
        raise_on_failure: bool = True,
        check: bool = False,
        submitted: Callable[[TaskRef[T]], object] | None = None,
    ) -> T:
        """Have something made, and wait for it: `submit`, then `wait_for`.

            image = await client.run(GenerateImage(model="gpt-image-2", prompt="a cat"))

        Once the task has been submitted, every error this raises has it as `error.ref`, and a
        `CancelledError` names it in a note: what is paid for can be waited for again.

        Args:
            request: What to make.
            timeout: Seconds for the wait, from the submit; None for no limit.
            wait: The delays between polls: any tenacity wait strategy.
            patience: Seconds that the service may stay unreachable; None for no limit.
            raise_on_failure: Whether a task that failed raises `TaskFailedError`, or is
                returned.
            check: As of `submit`.
            submitted: Called with the ref as soon as there is one, to write it down.

        Returns:
            The finished task: an `ImageTask` or a `VideoTask`.

        Raises:
            ValueError: As of `submit`; or a number is negative or not finite, and nothing was
                sent.
            SubmitUncertainError: As of `submit`. There is no ref.
            AiToEarnError: As of `submit` and `wait_for`.
        """
        terms = self._terms(timeout, patience, wait)
        ref = await self.submit(request, check=check)
        try:
            if submitted is not None:
                submitted(ref)
            return await self._waiter(ref, terms, raise_on_failure)
        except BaseException as exc:
            exc.add_note(f"{ref} was submitted and goes on")
            if isinstance(exc, AiToEarnError):
                exc.ref = ref  # type: ignore[assignment]
            raise

    def list_videos(
        self,
        *,
        page_size: int = 100,
        skipped: Callable[[SkippedVideo], None] | None = None,
    ) -> VideoList:
        """Go through your own video tasks, newest first.

            async for task in client.list_videos():
                print(task.ref, task.status)

        Nothing is sent before the first is asked for, and no more than a page is held. A page
        that fails because of one row (code 12302 or 500) is asked for again in smaller ones,
        until that row stands alone; it is left out, counted and reported. If pages without
        rows fail too, it is the service that fails, and that is raised.

        Tasks made meanwhile are not in it, and do not make others come twice, unless more
        than 10,000 are made between two pages. If tasks are removed meanwhile, others can be
        missed. The service lists no image tasks.

        Args:
            page_size: How many to ask for at a time, 1 to 1,000.
            skipped: Called for each row that is left out; None: a warning is logged. What it
                raises ends the iteration, which can be taken up again behind that row.

        Returns:
            A `VideoList`: an async iterator of `VideoTask`.

        Raises:
            ValueError: `page_size` is out of its range. At the call.
            AuthenticationError: The key is not valid. This and what follows when iterated.
            ApiError: The service refuses for another reason.
            TransportError: No usable answer came, after `attempts` requests.
            ContractError: The service's answer breaks its contract.
            ClientClosedError: The client is closed.
        """
        return VideoList(checked_page_size(page_size), self._finder.page, skipped)

    async def image_models(self) -> list[ImageModel]:
        """What models there are for `GenerateImage`, and what each accepts.

        Raises:
            ApiError: The service refuses.
            TransportError: No usable answer came, after `attempts` requests.
            ContractError: The service's answer breaks its contract.
            ClientClosedError: The client is closed.
        """
        return await self._finder.models(IMAGE_MODELS)

    async def edit_models(self) -> list[EditModel]:
        """What models there are for `EditImage`; else as `image_models`."""
        return await self._finder.models(EDIT_MODELS)

    async def video_models(self) -> list[VideoModel]:
        """What models there are for `GenerateVideo`; else as `image_models`."""
        return await self._finder.models(VIDEO_MODELS)

    @abstractmethod
    def _terms(
        self, timeout: float | None, patience: float | None, wait: WaitStrategy | None
    ) -> Callable[[TaskRef[Any]], Terms]:
        """What a wait asks for, checked."""

    @abstractmethod
    def _waiter(
        self, ref: TaskRef[T], terms: Callable[[TaskRef[Any]], Terms], raise_on_failure: bool
    ) -> Waiter[T]:
        """A wait for a task."""
