"""Where fuzzing begins: with what a real server has sent, and what people write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.contract.samples import SAMPLES, Sample

CORPUS = Path(__file__).with_name("corpus")
"""A folder for each target; in it, inputs that have once been a bug."""

LARGEST = 4096
"""Bytes. The one large sample is large in its middle, where nothing new is."""

REFS = ["image:6b02e6e1d971ff8d14238fad", "video:a", "video:", "audio:1", "a1-_", "image:é", ""]
ADDRESSES = [
    "https://aitoearn.ai",
    "http://127.0.0.1:8080/prefix/",
    "http://[::1]:1",
    "https://bücher.example/ä b",
    "https://user:password@host/?query#fragment",
    "HTTPS://HOST.:443/%2e%2e/",
    "http://fe80::1%eth0",
    "//host",
    "sk-test-valid-key",
    "zh-CN",
]


def seeds(target: str) -> Iterator[bytes]:
    """What a target is tried with first."""
    if target in ("ref", "address"):
        for text in REFS if target == "ref" else ADDRESSES:
            yield text.encode()
        return
    for sample in SAMPLES.values():
        if len(sample.content) <= LARGEST:
            yield sample.content if target == "body" else whole(sample)


def whole(sample: Sample) -> bytes:
    """A sample as the target `answer` takes it."""
    headers = "".join(f"\n{name}: {value}" for name, value in sample.headers)
    return f"{sample.status}{headers}\n\n".encode() + sample.content


def corpus(target: str) -> dict[str, bytes]:
    """What earlier runs came upon, by name."""
    return {file.name: file.read_bytes() for file in sorted((CORPUS / target).glob("*"))}
