"""The page about telemetry lists the spans, events, metrics and attributes that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import tenacity
from prometheus_client import CollectorRegistry

from aitoearn_async import AiToEarnError, Client, GenerateImage, ImageRef
from aitoearn_async.emulator import Emulator, Fault
from aitoearn_async.telemetry import Prometheus

from .recorder import Recorder

PAGE = Path(__file__).parents[2] / "docs/how-to/telemetry.md"


def listed() -> set[str]:
    """All names with a dot that the page shows as code, in its tables and beside them."""
    text = PAGE.read_text(encoding="utf-8")
    names = re.findall(r"`((?:aitoearn|gen_ai|server|http|error)\.[a-z_.]+)`", text)
    return set(names)


async def test_names(aitoearn_service: Emulator, recorder: Recorder, tmp_path: Path) -> None:
    """Neither is there one that the page does not know, nor does it know one that is not there."""
    service, registry = aitoearn_service, CollectorRegistry()
    both: Any = [recorder.observer(content=True), Prometheus(registry)]
    request = GenerateImage(model="gpt-image-2", prompt="a cat", n=2)
    async with Client(
        service.api_key, base_url=service.url, private_media=True, telemetry=both
    ) as client:
        await client.run(request, save=tmp_path)
        ref = service.add_image(("generating", 20), "success", fields={"points": 3})
        service.fault(Fault(status=502), times=2)
        await client.wait_for(ref, wait=tenacity.wait_fixed(1))
        with pytest.raises(AiToEarnError):
            await client.wait_for(ImageRef("f" * 24))
    found: set[str] = set()
    for span in recorder.spans:
        found |= {*(span.attributes or {}), *(event.name for event in span.events)}
        for event in span.events:
            found |= set(event.attributes or {})
    for name, attributes, _ in recorder.points():
        found |= {name, *attributes}
    assert found == listed()
    families = {family.name for family in registry.collect()}
    shown = re.findall(r"^\| `(aitoearn_[a-z_]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name.removesuffix("_total") for name in shown} == families
