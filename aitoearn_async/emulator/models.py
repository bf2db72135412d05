"""The models of the emulator, in the service's own spelling."""

from __future__ import annotations

from typing import Any, Final

import msgspec

_GPT_IMAGE: Final[dict[str, Any]] = {
    "name": "gpt-image-2",
    "description": "GPT Image 2",
    "summary": "Follows long prompts, and writes legibly.",
    "tags": ["text", {"en-US": "precise", "zh-CN": "精确"}],
    "sizes": ["1024x1024", "1536x1024", "1024x1536", "auto"],
}
_SEEDREAM: Final[dict[str, Any]] = {
    "name": "doubao-seedream-4-5",
    "description": "Seedream 4.5",
    "summary": "Large, photographic pictures.",
    "tags": [],
    "mainTag": "photo",
    "sizes": ["2K", "4K", "2048x2048", "2560x1440", "1440x2560"],
}

MODELS: Final[dict[str, list[dict[str, Any]]]] = {
    "/api/ai/models/image/generation": [
        {**_GPT_IMAGE, "qualities": ["auto", "low", "medium", "high"], "styles": []},
        {**_SEEDREAM, "qualities": [], "styles": []},
    ],
    "/api/ai/models/image/edit": [
        {**_GPT_IMAGE, "maxInputImages": 16},
        {**_SEEDREAM, "maxInputImages": 10},
    ],
    "/api/ai/models/video/generation": [
        {
            "name": "sora-2",
            "description": "Sora 2",
            "summary": "Films with sound.",
            "tags": ["sound"],
            "channel": "openai",
            "modes": ["text2video", "image2video"],
            "resolutions": ["720p"],
            "durations": [4, 8, 12],
            "maxInputImages": 1,
            "aspectRatios": ["16:9", "9:16"],
            "defaults": {"resolution": "720p", "aspectRatio": "16:9", "duration": 4},
        },
        {
            "name": "doubao-seedance-2-0",
            "description": "Seedance 2.0",
            "tags": [],
            "channel": "volcengine",
            "modes": ["text2video", "image2video", "flf2video", "multi-ref", "video2video"],
            "resolutions": ["480p", "720p", "1080p"],
            "durations": [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
            "maxInputImages": 9,
            "inputConstraints": {
                "images": {"maxCount": 9, "formats": ["jpeg", "png", "webp"], "maxSizeMb": 30},
                "videos": {"maxCount": 3, "minDuration": 2, "maxTotalDuration": 15},
                "audios": {"maxCount": 3, "formats": ["mp3", "wav"], "maxTotalDuration": 15},
            },
            "aspectRatios": ["16:9", "4:3", "1:1", "3:4", "9:16", "21:9"],
            "defaults": {"resolution": "720p", "duration": 5},
        },
        {
            "name": "wan2.6-i2v",
            "description": "Wan 2.6",
            "tags": [],
            "channel": "dashscope",
            "modes": ["image2video"],
            "resolutions": ["720P", "1080P"],
            "durations": [5, 10, 15],
            "maxInputImages": 1,
            "aspectRatios": [],
            "defaults": {"resolution": "1080P", "duration": 5},
        },
        {
            "name": "grok-imagine-video",
            "description": "Grok Imagine",
            "tags": [],
            "channel": "grok",
            "modes": ["text2video", "image2video"],
            "resolutions": ["480p", "720p"],
            "durations": [6, 10],
            "maxInputImages": 1,
            "aspectRatios": ["16:9", "1:1", "9:16"],
            "defaults": {"resolution": "720p", "aspectRatio": "16:9", "duration": 6},
        },
        {
            "name": "veo-3.1",
            "description": "Veo 3.1, by way of another installation",
            "tags": ["sound"],
            "channel": "relay",
            "modes": ["text2video", "image2video", "flf2video"],
            "resolutions": ["720p", "1080p"],
            "durations": [4, 6, 8],
            "maxInputImages": 2,
            "aspectRatios": ["16:9", "9:16"],
            "defaults": {"resolution": "720p", "aspectRatio": "16:9", "duration": 8},
        },
    ],
}

IMAGE_CHANNEL: Final = "new-api"
"""The provider of all image models."""
CHANNELS: Final = frozenset(["dashscope", "grok", "openai", "relay", "volcengine"])
"""The providers of video models."""
VIDEO_MODELS: Final = "/api/ai/models/video/generation"
"""The path at which the video models are listed."""
_WRITTEN: Final = msgspec.json.encode(MODELS)
"""Read anew for each emulator: a deep copy takes fifty times as long."""


def models_on(channel: str | None) -> dict[str, list[dict[str, Any]]]:
    """Return a copy of the models by path; with a channel, all video models are on it."""
    models: dict[str, list[dict[str, Any]]] = msgspec.json.decode(_WRITTEN)
    for model in models[VIDEO_MODELS] if channel is not None else ():
        model["channel"] = channel
    return models


def channel_of(name: str, models: dict[str, list[dict[str, Any]]]) -> str:
    """Return the provider of a video model; that of an unknown one is another installation."""
    return next((m["channel"] for m in models[VIDEO_MODELS] if m["name"] == name), "relay")
