#!/usr/bin/env bash
# mutagen and TagLib destroy a fragmented film by giving it a title: all but its first second is gone.
#
# Promised: both write tags into MP4 files and leave what is played as it was; both know of fragments, since the
#   code that moves offsets has a branch for them. ISO/IEC 14496-12, 8.8.7: each `tfhd` may have a
#   base_data_offset, counted from the beginning of the file, for the samples of its fragment.
# Seen: `moov` grows by the tag, and all behind it moves. mutagen looks for `atoms["moof"]`, and TagLib for
#   find("moof"): that is the first fragment, and it alone is corrected. All others point to where their samples
#   were. `ffmpeg -movflags frag_keyframe+empty_moov` writes such offsets. A film whose fragments
#   are counted from themselves (default_base_moof), or one that has none, is well afterwards.
# Costs: save() returns, the title is there, the first second plays, and the film itself cannot be decoded any more;
#   it was changed in place, so there is no other.
# Known: of tags that break a film with `moov` in front, in Serial-ATA/lofty-rs#686; of fragments after the first
#   nothing was found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    mutagen==1.48.1 pytaglib==3.2.0 imageio-ffmpeg==0.8.1
"$place/venv/bin/python" - "$place" <<'EOF'
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import imageio_ffmpeg
import taglib
from mutagen.mp4 import MP4

place = Path(sys.argv[1])
FRAMES = 100


def ffmpeg(*arguments):
    program = imageio_ffmpeg.get_ffmpeg_exe()
    command = [program, "-v", "error", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def frames(path):
    """Return the hashes of the frames that can be decoded."""
    lines = ffmpeg("-i", path, "-map", "0:v", "-f", "framemd5", "-").stdout.splitlines()
    return [line.split(",")[-1] for line in lines if not line.startswith("#")]


def mutagen_title(path):
    film = MP4(path)
    film["\xa9nam"] = "A film"
    film.save()


def taglib_title(path):
    with taglib.File(path, save_on_exit=True) as film:
        film.tags["TITLE"] = ["A film"]


def left(path, title):
    """Return how many frames are as they were, once a copy of the film has got a title."""
    copy = path.with_stem(f"{path.stem}-{title.__name__}")
    shutil.copy(path, copy)
    title(copy)
    assert MP4(copy)["\xa9nam"] == ["A film"]
    return len(set(frames(copy)) & set(frames(path)))


for name in ("mutagen", "pytaglib", "imageio-ffmpeg"):
    print(name, version(name))
picture = ("-f", "lavfi", "-i", f"testsrc=size=320x240:rate=25:duration={FRAMES / 25}")
sound = ("-f", "lavfi", "-i", f"sine=duration={FRAMES / 25}")
films = {}
for name in ("faststart", "empty_moov+default_base_moof+frag_keyframe", "empty_moov+frag_keyframe"):
    films[name] = place / f"{len(films)}.mp4"
    ffmpeg(*picture, *sound, "-c:v", "libx264", "-g", 25, "-c:a", "aac", "-movflags", name, films[name])
    assert len(set(frames(films[name]))) == FRAMES
print(f"expected: {FRAMES} frames, before and after")
seen = {name: (left(path, mutagen_title), left(path, taglib_title)) for name, path in films.items()}
for name, counts in seen.items():
    print(f"seen of {name}: with mutagen {counts[0]}, with TagLib {counts[1]}")
whole, relative, absolute = seen.values()
if whole != (FRAMES, FRAMES) or relative != whole or not all(count < 30 for count in absolute):
    sys.exit("the behaviour has changed")
EOF
