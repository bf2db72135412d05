#!/usr/bin/env bash
# With today's ffmpeg, moviepy stretches every film that was taken upright, and says that it is not rotated.
#
# Promised: VideoFileClip.size is the size of the clip's frames. For that moviepy reads the rotation which
#   phones write (ISO/IEC 14496-12, the matrix of the track header), and exchanges width and height,
#   since ffmpeg turns the frames. It asks for imageio-ffmpeg 0.2.0 or any later one.
# Seen: the rotation is read from what `ffmpeg -i` prints, by the word "displaymatrix". The ffmpeg that
#   imageio-ffmpeg 0.8 brings prints "Display Matrix": nothing is found, the rotation counts as 0, and
#   ffmpeg is told to put the turned frames, 96x128, into 128x96. With imageio-ffmpeg 0.6, and the same
#   moviepy and film, size and frames are right.
# Costs: a plain install, or an update of the one package, and whatever users upload from their phones is
#   rendered wide and flat, without a warning; tests with films from a screen or from ffmpeg pass.
# Known: the word before this one, in Zulko/moviepy#2356, repaired; of this one no report was found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
pip=("$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check)
"${pip[@]}" moviepy==2.2.1 imageio-ffmpeg==0.8.1
"${pip[@]}" --no-deps --target "$place/older" imageio-ffmpeg==0.6.0
cat >"$place/look.py" <<'EOF'
import json
import sys

from moviepy import VideoFileClip

with VideoFileClip(sys.argv[1]) as clip:
    bright = clip.get_frame(0)[:, :, 0] > 128
    square = [int(bright.any(axis=0).sum()), int(bright.any(axis=1).sum())]
    print(json.dumps([list(clip.size), square, clip.rotation]))
EOF
cat >"$place/run.py" <<'EOF'
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import imageio_ffmpeg

place = Path(sys.argv[1])
newer = imageio_ffmpeg.get_ffmpeg_exe()
older = str(next(place.glob("older/imageio_ffmpeg/binaries/ffmpeg*")))
flat, upright = place / "flat.mp4", place / "upright.mp4"


def ffmpeg(*arguments):
    subprocess.run([newer, "-v", "error", *map(str, arguments)], check=True)


def looked_at(film, program):
    """Return the clip's size, that of the square in its first frame, and its rotation."""
    told = subprocess.run(
        [sys.executable, place / "look.py", film], check=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=os.environ | {"IMAGEIO_FFMPEG_EXE": program, "FFMPEG_BINARY": "ffmpeg-imageio"},
    )
    return json.loads(told.stdout)


picture = "color=black:s=128x96:d=1:r=10,drawbox=x=40:y=24:w=48:h=48:color=white:t=fill"
ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "mpeg4", "-q:v", 1, flat)
ffmpeg("-display_rotation", 90, "-i", flat, "-c", "copy", upright)  # as a phone held upright
for name in ("moviepy", "imageio-ffmpeg"):
    print(name, version(name))
seen = {}
for name, program in (("0.6.0", older), ("0.8.1", newer)):
    for film in (flat, upright):
        size, square, rotation = seen[name, film.stem] = looked_at(film, program)
        print(f"ffmpeg of imageio-ffmpeg {name}, {film.stem}: size {size}, "
              f"the square of 48x48 is {square}, rotation {rotation}")
print("expected of both: upright, size [96, 128], the square [48, 48], rotation 90")
right = [[128, 96], [48, 48], 0]
surprise = {
    ("0.6.0", "flat"): right, ("0.6.0", "upright"): [[96, 128], [48, 48], 90.0],
    ("0.8.1", "flat"): right, ("0.8.1", "upright"): [[128, 96], [64, 36], 0],
}
if seen != surprise:
    sys.exit("the behaviour has changed")
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
