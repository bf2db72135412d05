#!/usr/bin/env bash
# imageio adds frames that nobody took to the end of a film that was trimmed without encoding it again.
#
# Promised: `imread` of a film gives an array with all its frames, `improps` its shape. ISO/IEC 14496-12,
#   8.6.6: of a track with an edit list that alone is the film which the list shows. `ffmpeg -ss ... -c copy`,
#   and whatever trims without encoding anew, write such files: frames from the key frame on are kept, and
#   not shown.
# Seen: the plugin "pyav" takes the number of frames from the sample table, where those that are cut away
#   count too. It reserves an array for all of them with numpy.empty, and fills in what the decoder gives,
#   which does heed the list: 87 frames of 100. The last 13 are what the memory held, mostly black, and
#   nothing warns. `imiter` of the same file ends after 87, and `imread(index=99)` raises StopIteration.
# Costs: a model is trained on frames that do not exist, the thumbnail of a last frame is black, and a film
#   that is written again from the array is half a second longer than its sound.
# Known: numpy.empty in its place was asked for in imageio/imageio#932; that a count which is too large
#   leaves frames unfilled was not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    imageio==2.38.1 av==18.1.0 imageio-ffmpeg==0.8.1
"$place/venv/bin/python" - "$place" <<'EOF'
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np

place = Path(sys.argv[1])
film, trimmed = place / "film.mp4", place / "trimmed.mp4"


def ffmpeg(*arguments):
    program = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([program, "-v", "error", *map(str, arguments)], check=True)


def looked_at(path):
    """Return the frames of imread and of imiter, and whether those that both have are the same."""
    whole = iio.imread(path, plugin="pyav")
    shown = list(iio.imiter(path, plugin="pyav"))
    return len(whole), len(shown), all(map(np.array_equal, whole, shown))


source = "testsrc=size=128x96:rate=25:duration=4"
ffmpeg("-f", "lavfi", "-i", source, "-c:v", "libx264", "-g", 25, "-bf", 3, film)
ffmpeg("-ss", 0.5, "-i", film, "-c", "copy", trimmed)
for name in ("imageio", "av", "imageio-ffmpeg"):
    print(name, version(name))
seen = [looked_at(path) for path in (film, trimmed)]
frames = iio.imread(trimmed, plugin="pyav")
empty = [not any(np.array_equal(frame, shown) for shown in frames[:87]) for frame in frames[87:]]
try:
    last = iio.imread(trimmed, plugin="pyav", index=len(frames) - 1).shape
except StopIteration:
    last = "StopIteration"
print("expected of the trimmed film: imread 87 frames, imiter 87")
for name, (read, shown, same) in zip(("whole", "trimmed"), seen):
    print(f"seen of the {name} film: imread {read}, imiter {shown}, the same as far as they go: {same}")
print(f"seen of the last {len(empty)}: in no other frame {sum(empty)}; read alone: {last}")
if seen != [(100, 100, True), (100, 87, True)] or not all(empty) or last != "StopIteration":
    sys.exit("the behaviour has changed")
EOF
