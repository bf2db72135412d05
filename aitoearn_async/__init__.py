"""The asyncio-native client for AiToEarn's image and video tasks.

Everything public stands here; the rooms behind it may move. A name is imported when it is first
used, so that importing the package, and the help of the command line, cost next to nothing.
"""

import importlib
import sys

from ._version import __version__

TYPE_CHECKING = False  # as in `typing`, which takes longer to import than all of this

if TYPE_CHECKING:
    from ._api.image_list import ImageList, ListedImage
    from ._api.statistics import ClientStatistics
    from ._api.video_list import SkippedVideo, VideoList
    from ._client import Client
    from ._polling.batch.batch import Batch
    from ._polling.batch.outcome import Outcome
    from ._polling.batch.statistics import BatchStatistics
    from ._polling.cadence.rhythm import LearnedRhythm
    from ._polling.cadence.schedule import WaitStrategy, wait_backoff
    from ._polling.single.waiter import Waiter
    from ._polling.wait.resume import Resume
    from ._resilience.breaker import BreakerState
    from .contract.catalog import EditModel, ImageModel, Model, VideoDefaults, VideoModel
    from .contract.endpoints import CHINA, INTERNATIONAL
    from .contract.image_tasks import Image, ImageRef, ImageTask
    from .contract.kinds import AnyRef, AnyTask, parse_ref
    from .contract.requests import (
        EditImage,
        GenerateImage,
        GenerateVideo,
        MediaSource,
        TaskRequest,
    )
    from .contract.status import TaskState
    from .contract.tasks import Task, TaskRef
    from .contract.video_tasks import VideoError, VideoInput, VideoRef, VideoTask
    from .errors import (
        AiToEarnError,
        ApiError,
        AuthenticationError,
        ClientClosedError,
        ConnectionFailedError,
        ContractError,
        DownloadError,
        InvalidRequestError,
        MediaAddressError,
        NotAskedError,
        RateLimitError,
        RequestTimeoutError,
        ServerError,
        ServiceUnreachableError,
        SubmitUncertainError,
        TaskFailedError,
        TaskNotFoundError,
        TransportError,
        UnexpectedResponseError,
        UploadError,
        WaitTimeoutError,
    )

__all__ = [
    "CHINA",
    "INTERNATIONAL",
    "AiToEarnError",
    "AnyRef",
    "AnyTask",
    "ApiError",
    "AuthenticationError",
    "Batch",
    "BatchStatistics",
    "BreakerState",
    "Client",
    "ClientClosedError",
    "ClientStatistics",
    "ConnectionFailedError",
    "ContractError",
    "DownloadError",
    "EditImage",
    "EditModel",
    "GenerateImage",
    "GenerateVideo",
    "Image",
    "ImageList",
    "ImageModel",
    "ImageRef",
    "ImageTask",
    "InvalidRequestError",
    "LearnedRhythm",
    "ListedImage",
    "MediaAddressError",
    "MediaSource",
    "Model",
    "NotAskedError",
    "Outcome",
    "RateLimitError",
    "RequestTimeoutError",
    "Resume",
    "ServerError",
    "ServiceUnreachableError",
    "SkippedVideo",
    "SubmitUncertainError",
    "Task",
    "TaskFailedError",
    "TaskNotFoundError",
    "TaskRef",
    "TaskRequest",
    "TaskState",
    "TransportError",
    "UnexpectedResponseError",
    "UploadError",
    "VideoDefaults",
    "VideoError",
    "VideoInput",
    "VideoList",
    "VideoModel",
    "VideoRef",
    "VideoTask",
    "WaitStrategy",
    "WaitTimeoutError",
    "Waiter",
    "__version__",
    "parse_ref",
    "wait_backoff",
]

# Room -> the names in it: the imports above once more, for when the package runs.
_HOMES = {
    "_api.statistics": "ClientStatistics",
    "_api.image_list": "ImageList ListedImage",
    "_api.video_list": "SkippedVideo VideoList",
    "_client": "Client",
    "_polling.batch.batch": "Batch",
    "_polling.batch.outcome": "Outcome",
    "_polling.wait.resume": "Resume",
    "_polling.cadence.rhythm": "LearnedRhythm",
    "_polling.cadence.schedule": "WaitStrategy wait_backoff",
    "_polling.batch.statistics": "BatchStatistics",
    "_polling.single.waiter": "Waiter",
    "_resilience.breaker": "BreakerState",
    "contract.catalog": "EditModel ImageModel Model VideoDefaults VideoModel",
    "contract.endpoints": "CHINA INTERNATIONAL",
    "contract.image_tasks": "Image ImageRef ImageTask",
    "contract.kinds": "AnyRef AnyTask parse_ref",
    "contract.requests": "EditImage GenerateImage GenerateVideo MediaSource TaskRequest",
    "contract.status": "TaskState",
    "contract.tasks": "Task TaskRef",
    "contract.video_tasks": "VideoError VideoInput VideoRef VideoTask",
    "errors": (
        "AiToEarnError ApiError AuthenticationError ClientClosedError ConnectionFailedError "
        "ContractError DownloadError InvalidRequestError MediaAddressError NotAskedError "
        "RateLimitError RequestTimeoutError ServerError ServiceUnreachableError "
        "SubmitUncertainError TaskFailedError TaskNotFoundError TransportError "
        "UnexpectedResponseError UploadError WaitTimeoutError"
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
_ROOMS = ("contract", "errors")

if not TYPE_CHECKING:  # or checkers would take any name

    def __getattr__(name: str) -> object:
        """Import a public name, or a public room, when it is first used."""
        if name in _ROOMS:
            return importlib.import_module(f".{name}", __name__)
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_ROOMS})


del TYPE_CHECKING

# Pickles made by 0.1.0 name these modules. Until 0.4 each of them is the package itself.
for _moved in (
    *("contract.models", "contract.refs", "listing", "poller", "polling", "polling.gauge"),
    *("polling.outcome", "polling.schedule", "session", "session.breaker"),
):
    sys.modules[f"{__name__}.{_moved}"] = sys.modules[__name__]
