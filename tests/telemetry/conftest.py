from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from aitoearn_async import Client
from aitoearn_async.emulator import Emulator

from .recorder import Recorder


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def client(aitoearn_service: Emulator, recorder: Recorder) -> AsyncIterator[Client]:
    """A client of the service, with OpenTelemetry on."""
    service = aitoearn_service
    async with Client(
        service.api_key, base_url=service.url, private_media=True, telemetry=recorder.observer()
    ) as client:
        yield client
