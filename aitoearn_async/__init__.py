"""The asyncio-native client for AiToEarn's image and video tasks.

Everything public stands here; the rooms behind it may move.
"""

from ._version import __version__
from .client import Client
from .contract.catalog import EditModel, ImageModel, Model, VideoDefaults, VideoModel
from .contract.models import (
    AnyTask,
    Image,
    ImageTask,
    Task,
    VideoError,
    VideoInput,
    VideoTask,
)
from .contract.refs import AnyRef, ImageRef, TaskRef, VideoRef, parse_ref
from .contract.requests import (
    EditImage,
    GenerateImage,
    GenerateVideo,
    MediaSource,
    TaskRequest,
)
from .contract.status import TaskState
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
    WaitTimeoutError,
)
from .listing import SkippedVideo, VideoList
from .poller import ClientStatistics
from .polling.batch import Batch
from .polling.gauge import BatchStatistics
from .polling.outcome import Outcome
from .polling.schedule import WaitStrategy, wait_backoff
from .polling.waiter import Waiter
from .session.address import CHINA, INTERNATIONAL
from .session.breaker import BreakerState

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
    "ImageModel",
    "ImageRef",
    "ImageTask",
    "InvalidRequestError",
    "MediaAddressError",
    "MediaSource",
    "Model",
    "NotAskedError",
    "Outcome",
    "RateLimitError",
    "RequestTimeoutError",
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
