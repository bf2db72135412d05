#!/usr/bin/env bash
# ffmpeg cannot read the animation that it wrote itself: of an animated AVIF it takes one picture, and says nothing.
#
# Promised: ffmpeg-formats: the avif muxer writes animations, and has `-loop` for them. ffmpeg: of several video streams
#   it takes the one with the highest resolution. A GIF, an APNG and an animated WebP give all their frames.
# Seen: an animated AVIF has a still picture beside its track. ffmpeg has the still one first, as a stream of its own,
#   of the same size, so the film that comes of it has one frame. Status 0, no words. PyAV has
#   the same first stream. `-map 0:v:1` has all frames; with transparency, as Pillow writes it, they are
#   in `-map 0:v:2`, and the transparency is in others, so it is lost.
# Costs: a picture that moved is a still film, after a conversion that went well.
# Known: as a regression of ffmpeg 7, in wader/static-ffmpeg#530; in the documentation nothing was found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    imageio-ffmpeg==0.8.1 pillow==13.0.0 av==18.1.0
"$place/venv/bin/python" - "$place" <<'EOF'
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import av
import imageio_ffmpeg
from PIL import Image

place = Path(sys.argv[1])
program = imageio_ffmpeg.get_ffmpeg_exe()
FRAMES = 6


def ffmpeg(*arguments):
    command = [program, "-v", "warning", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def frames(path, *map_to):
    """Return how many frames come of it, and ffmpeg's words."""
    done = ffmpeg("-i", path, *map_to, "-f", "framecrc", "-")
    return sum(not line.startswith("#") for line in done.stdout.splitlines()), done.stderr


film = place / "film.mp4"
ffmpeg("-f", "lavfi", "-i", f"testsrc=size=64x48:rate=4:duration={FRAMES / 4}", film)
for suffix in ("gif", "apng", "avif"):
    ffmpeg("-i", film, place / f"film.{suffix}")
ffmpeg("-i", film, "-c:v", "libwebp_anim", place / "film.webp")
shades = [Image.new("RGBA", (64, 48), (255, 0, 0, 40 * number)) for number in range(FRAMES)]
shades[0].save(place / "clear.avif", save_all=True, append_images=shades[1:], duration=250)

for name in ("imageio-ffmpeg", "pillow", "av"):
    print(name, version(name))
print("ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
print(f"expected: {FRAMES} frames of each")
seen = {suffix: frames(place / f"film.{suffix}") for suffix in ("gif", "apng", "webp", "avif")}
for suffix, (count, words) in seen.items():
    print(f"seen of {suffix}: {count}, words {words!r}")
moved = frames(place / "film.avif", "-map", "0:v:1")
clear = frames(place / "clear.avif"), frames(place / "clear.avif", "-map", "0:v:2")
print("seen of avif with -map 0:v:1:", moved[0])
print("seen of Pillow's with transparency:", clear[0][0], "and with -map 0:v:2", clear[1][0])
with Image.open(place / "film.avif") as image:
    pillow = image.n_frames
with av.open(place / "film.avif") as container:
    pyav = sum(1 for _ in container.decode(video=0))
print("the same avif, by Pillow:", pillow, "and by PyAV:", pyav)
counts = [count for count, _ in seen.values()]
if (
    counts != [FRAMES] * 3 + [1]
    or any(words for _, words in seen.values())
    or (moved[0], clear[0][0], clear[1][0], pillow, pyav) != (FRAMES, 1, FRAMES, FRAMES, 1)
):
    sys.exit("the behaviour has changed")
EOF
