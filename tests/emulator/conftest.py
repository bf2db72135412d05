from __future__ import annotations

import pytest

from aitoearn_async.emulator import Emulator


@pytest.fixture
async def service(aitoearn_service: Emulator) -> Emulator:
    return aitoearn_service
