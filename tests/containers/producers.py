"""Small real files of many containers, written by Pillow and by ffmpeg's libraries (PyAV)."""

from __future__ import annotations

import io
import random
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from PIL import Image

WIDTH, HEIGHT = 64, 48


def noise(mode: str = "RGB", seed: int = 1) -> Image.Image:
    """A picture that cannot be packed well, so that all of its file counts."""
    size = WIDTH * HEIGHT * len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, (WIDTH, HEIGHT), random.Random(seed).randbytes(size))


def picture(form: str, mode: str = "RGB", **options: Any) -> bytes:
    """A file written by Pillow."""
    file = io.BytesIO()
    noise(mode).save(file, form, **options)
    return file.getvalue()


def moving_picture(form: str, **options: Any) -> bytes:
    """The same, of three pictures."""
    others = [noise(seed=seed) for seed in (2, 3)]
    return picture(form, save_all=True, append_images=others, duration=100, loop=0, **options)


def encoded(codec: str, pixels: str) -> bytes:
    """One picture, written by an encoder of ffmpeg's."""
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, pixels
    context.time_base = Fraction(1, 25)
    frame = _frame(noise()).reformat(format=pixels)
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def _frame(image: Image.Image) -> Any:
    return av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call, unused-ignore]


def film(
    container: str,
    codec: str | None = "mpeg4",
    sound: str | None = None,
    *,
    frames: int = 12,
    seekable: bool = True,
    **options: str,
) -> bytes:
    """A film, with or without sound, or sound alone."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "film"
        pipe = None if seekable else Unseekable()
        with av.open(pipe or path, "w", format=container, options=options) as output:
            _fill(output, codec, sound, frames)
        return pipe.getvalue() if pipe else path.read_bytes()


def _fill(output: Any, codec: str | None, sound: str | None, frames: int) -> None:
    tracks: list[Any] = []
    if codec is not None:
        video = output.add_stream(codec, rate=25)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.gop_size = 4
        tracks.append(video)
    if sound is not None:
        audio = output.add_stream(sound, rate=48000)
        assert isinstance(audio, AudioStream)
        audio.layout = "mono"
        tracks.append(audio)
    for number in range(frames):
        for track in tracks:
            _write(output, track, number)
    for track in tracks:
        output.mux(track.encode(None))


def _write(output: Any, track: Any, number: int) -> None:
    if isinstance(track, VideoStream):
        image = _frame(noise(seed=number % 3))
        image.pts = number
        output.mux(track.encode(image.reformat(format="yuv420p")))
        return
    size = track.codec_context.frame_size or 960
    sound: Any = av.AudioFrame(format=track.codec_context.format.name, layout="mono", samples=size)
    sound.sample_rate, sound.pts = 48000, number * size
    for plane in sound.planes:
        plane.update(bytes(plane.buffer_size))
    output.mux(track.encode(sound))


class Unseekable(io.BytesIO):
    """A pipe: what has been written stays as it is."""

    def seekable(self) -> bool:
        return False

    seek = None  # type: ignore[assignment]
    tell = None  # type: ignore[assignment]
