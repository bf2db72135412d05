#!/usr/bin/env bash
# ffmpeg's HLS playlist names files that are not there, with two flags that are both meant to be careful.
#
# Promised: ffmpeg-formats, "hls": `single_file` keeps all segments in one file, and has byte ranges in the playlist;
#   `temp_file` writes to filename.tmp, and renames that once it is complete, so that a web server can refuse *.tmp.
#   That they do not go together is not said.
# Seen: with both, every entry of the playlist, and its EXT-X-MAP, names film.ts.tmp, also in the last playlist that is
#   written. The file itself is renamed to film.ts at the end. ffmpeg ends with 0 and prints nothing. Each flag
#   alone is as it should be; MPEG-TS and fragmented MP4 are the same, and so is ffmpeg 7.0.
# Costs: while it is written a player gets just what the flag is to keep from it, and from the end on 404
#   for each segment: a video on demand that was never playable, found out by its viewers.
# Known: not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check imageio-ffmpeg==0.8.1
"$place/venv/bin/python" - "$place" <<'EOF'
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import imageio_ffmpeg

place = Path(sys.argv[1])
program = imageio_ffmpeg.get_ffmpeg_exe()


def ffmpeg(*arguments):
    command = [program, "-v", "warning", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def missing(kind, flags):
    """Return which names in the playlist are those of no file, and whether a player takes it."""
    folder = place / f"{kind}-{flags}"
    folder.mkdir()
    playlist = folder / "film.m3u8"
    options = ("-f", "hls", "-hls_time", 1, "-hls_playlist_type", "vod")
    kinds = ("-hls_segment_type", kind, "-hls_flags", flags)
    done = ffmpeg("-i", film, "-c", "copy", *options, *kinds, playlist)
    assert (done.returncode, done.stderr) == (0, "")
    named = re.findall(r'^[^#\n].*|(?<=URI=")[^"]*', playlist.read_text(), re.MULTILINE)
    played = ffmpeg("-i", playlist, "-f", "null", "-").returncode == 0
    return sorted(name for name in set(named) if not (folder / name).exists()), played


film = place / "film.mp4"
ffmpeg("-f", "lavfi", "-i", "testsrc=size=320x240:rate=25:duration=3", "-c:v", "libx264", "-g", 25, film)
print("imageio-ffmpeg", version("imageio-ffmpeg"))
print("ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
print("expected: none of the files is missing, and it plays")
seen = []
for kind in ("mpegts", "fmp4"):
    for flags in ("single_file", "temp_file", "single_file+temp_file"):
        seen.append(missing(kind, flags))
        print(f"seen of {kind} with {flags}: missing {seen[-1][0]}, plays {seen[-1][1]}")
well = ([], True)
if seen != [well, well, (["film.ts.tmp"], False), well, well, (["film.m4s.tmp"], False)]:
    sys.exit("the behaviour has changed")
EOF
