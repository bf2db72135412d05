#!/usr/bin/env bash
# ffmpeg writes a film that nobody can play when it is to put an index in front of the fragments.
#
# Promised: ffmpeg-formats: `-movflags global_sidx` writes a global `sidx` index at the start of the file; that it
#   needs another flag is not said. ISO/IEC 14496-12, 8.8.7: the base_data_offset of a fragment is counted
#   from the beginning of the file.
# Seen: the fragments are written first, with such offsets; at the end they are moved to make room for the index, and
#   the offsets stay. Each fragment points before its samples, by as much as the index is long. ffmpeg ends with 0 and
#   prints nothing. Without empty_moov the first second is left, since `moov` has it. ffmpeg 7.0 does the same. With
#   default_base_moof as well, or with `dash` or `cmaf`, which have it in them, the film is as it should be.
# Costs: the film is there, has the right size and duration, and is garbage from its first frame on; the one
#   that it was made of, by -c copy, is often deleted by then.
# Known: not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check imageio-ffmpeg==0.8.1
"$place/venv/bin/python" - "$place" <<'EOF'
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import imageio_ffmpeg

place = Path(sys.argv[1])
program = imageio_ffmpeg.get_ffmpeg_exe()
FRAMES = 100


def ffmpeg(*arguments):
    command = [program, "-v", "warning", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def frames(path):
    """Return the hashes of the frames that can be decoded."""
    lines = ffmpeg("-i", path, "-map", "0:v", "-f", "framemd5", "-").stdout.splitlines()
    return {line.split(",")[-1] for line in lines if not line.startswith("#")}


def copied(flags):
    """Return the status and the words of a copy, and how many frames of the film it has."""
    copy = place / "copy.mp4"
    copy.unlink(missing_ok=True)
    done = ffmpeg("-i", film, "-c", "copy", "-movflags", flags, copy)
    return done.returncode, done.stderr, len(frames(copy) & whole)


film = place / "film.mp4"
source = f"testsrc=size=320x240:rate=25:duration={FRAMES / 25}"
ffmpeg("-f", "lavfi", "-i", source, "-c:v", "libx264", "-g", 25, film)
whole = frames(film)
print("imageio-ffmpeg", version("imageio-ffmpeg"))
print("ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
print(f"expected: {len(whole)} frames of {FRAMES}")
good = ("frag_keyframe+empty_moov", "frag_keyframe+empty_moov+default_base_moof+global_sidx", "dash+global_sidx")
bad = ("frag_keyframe+empty_moov+global_sidx", "frag_keyframe+global_sidx")
seen = {flags: copied(flags) for flags in good + bad}
for flags, (status, words, count) in seen.items():
    print(f"seen with {flags}: status {status}, words {words!r}, {count} frames")
silent = all(status == 0 and not words for status, words, _ in seen.values())
if not silent or [seen[flags][2] for flags in good + bad] != [FRAMES] * 3 + [0, 25]:
    sys.exit("the behaviour has changed")
EOF
