#!/usr/bin/env bash
# PyAV, copying a WebM with transparency as its documentation shows, makes players draw it opaque.
#
# Promised: PyAV's documentation of remuxing, which does so by `add_stream_from_template`: the data "is the full quality
#   that it was in the source container". RFC 9559: AlphaMode 1 says that the BlockAdditional elements have the alpha.
# Seen: each packet is copied with its alpha data, but the track's AlphaMode is not. In ffmpeg it is an entry of the
#   stream's metadata, and a template hands on none of these: `language` goes, too. Browsers draw the film opaque: black
#   where nothing was to be. `ffmpeg -c copy` writes the same packets, and keeps AlphaMode. Where the copy is looked at
#   with ffmpeg's libvpx-vp9, the alpha is there, and with its vp9, which is the default, in neither.
# Costs: stickers and overlays that were generated with transparency, which costs more, are black boxes on the page once
#   a sound was added to them, and every check of the packets says that they are as they were.
# Known: not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check av==18.1.0 imageio-ffmpeg==0.8.1
"$place/venv/bin/python" - "$place" <<'EOF'
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import av
import imageio_ffmpeg

place = Path(sys.argv[1])
program = imageio_ffmpeg.get_ffmpeg_exe()
ALPHA_MODE = bytes.fromhex("53c08101")  # the element of the track, its length, and 1
SOURCE = "testsrc=size=64x64:rate=10:duration=1,format=yuva420p,colorchannelmixer=aa=0.5"


def ffmpeg(*arguments):
    return subprocess.run([program, "-v", "error", *map(str, arguments)], capture_output=True, check=True).stdout


def copied(path):
    """Copy a film as PyAV's documentation does."""
    copy = place / "av.webm"
    with av.open(path) as source, av.open(copy, "w") as target:
        stream = source.streams.video[0]
        template = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = template
                target.mux(packet)
    return copy


def told(path):
    """Return whether the track says that it has alpha, what alpha its packets have, and what PyAV reads of it."""
    pixels = ffmpeg("-c:v", "libvpx-vp9", "-i", path, "-frames:v", 1, "-f", "rawvideo", "-pix_fmt", "rgba", "-")
    with av.open(path) as film:
        metadata = {name.lower(): value for name, value in film.streams.video[0].metadata.items()}
        return ALPHA_MODE in path.read_bytes(), set(pixels[3::4]), metadata.get("alpha_mode"), metadata.get("language")


film, by_ffmpeg = place / "film.webm", place / "ffmpeg.webm"
ffmpeg("-f", "lavfi", "-i", SOURCE, "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-metadata:s:v", "language=fra", film)
ffmpeg("-i", film, "-c", "copy", by_ffmpeg)
seen = {"the film": told(film), "ffmpeg's copy": told(by_ffmpeg), "PyAV's copy": told(copied(film))}
for name in ("av", "imageio-ffmpeg"):
    print(name, version(name))
print("expected of a copy: AlphaMode, alpha in the packets, and both entries of the metadata")
for what, (mode, alpha, *metadata) in seen.items():
    print(f"seen of {what}: AlphaMode {mode}, alpha {alpha}, alpha_mode and language {metadata}")
whole = (True, {129}, "1", "fra")
if list(seen.values()) != [whole, whole, (False, {129}, None, None)]:
    sys.exit("the behaviour has changed")
EOF
