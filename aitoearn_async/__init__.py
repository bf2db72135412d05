"""The asyncio-native client for AiToEarn's image and video tasks.

Everything public stands here; the rooms behind it may move.
"""

from ._version import __version__
from .client import Client
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
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    ServiceUnreachableError,
    TaskFailedError,
    TaskNotFoundError,
    TransportError,
    UnexpectedResponseError,
    WaitTimeoutError,
)
from .poller import ClientStatistics
from .polling.batch import Batch
from .polling.gauge import BatchStatistics
from .polling.outcome import Outcome
from .polling.schedule import WaitStrategy, wait_backoff
from .polling.waiter import Waiter
from .session.address import CHINA, INTERNATIONAL

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
    "Client",
    "ClientClosedError",
    "ClientStatistics",
    "ConnectionFailedError",
    "ContractError",
    "DownloadError",
    "Image",
    "ImageRef",
    "ImageTask",
    "InvalidRequestError",
    "MediaAddressError",
    "Outcome",
    "RateLimitError",
    "RequestTimeoutError",
    "ServerError",
    "ServiceUnreachableError",
    "Task",
    "TaskFailedError",
    "TaskNotFoundError",
    "TaskRef",
    "TaskState",
    "TransportError",
    "UnexpectedResponseError",
    "VideoError",
    "VideoInput",
    "VideoRef",
    "VideoTask",
    "WaitStrategy",
    "WaitTimeoutError",
    "Waiter",
    "__version__",
    "parse_ref",
    "wait_backoff",
]
