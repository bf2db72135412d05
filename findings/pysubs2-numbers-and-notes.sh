#!/usr/bin/env bash
# pysubs2 shows the names and notes that stand between the captions of a WebVTT file, and drops numbers that are said.
#
# Promised: the documentation has WebVTT as a "flavour of SubRip, with no extra support for WebVTT-specific features
#   like styles or subtitle alignment". WebVTT, 1: a caption ends at a blank line; the line before its times is its
#   identifier, which any text may be, or nothing; a block that begins with NOTE is a comment, which nobody is shown.
# Seen: everything up to the next times is the text of a caption, except for a line of digits at its end, which is taken
#   for the next caption's number. So an identifier is shown, in the caption before, and a comment; and where
#   captions have no numbers, the last line of what is said goes, if it is a number. Of SubRip files
#   it is the last caption only. webvtt-py and ffmpeg read both as they are.
# Costs: "You owe me / 500" is "You owe me", in a file that was only shifted by a second; and the films of services that
#   name each caption, with a UUID, have the UUID on the screen.
# Known: the basic support in the documentation; of lost numbers nothing was found. 1.9.0, which needs Python 3.12, has
#   the same lines.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    pysubs2==1.8.1 webvtt-py==0.6.0 imageio-ffmpeg==0.8.1
"$place/venv/bin/python" - "$place" <<'EOF'
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import imageio_ffmpeg
import pysubs2
import webvtt

place = Path(sys.argv[1])
VTT = """WEBVTT

00:00:01.000 --> 00:00:02.000
You owe me
500

NOTE the door again

00:00:03.000 --> 00:00:04.000
Who is there?

4f2c/17-0
00:00:05.000 --> 00:00:06.000
I am
"""
SRT = """1
00:00:01,000 --> 00:00:02,000
You owe me
500

2
00:00:03,000 --> 00:00:04,000
How old?
40
"""
SAID = ["You owe me / 500", "Who is there?", "I am"]
SAID_SRT = ["You owe me / 500", "How old? / 40"]


def with_pysubs2(path):
    return [event.plaintext.replace("\n", " / ") for event in pysubs2.load(str(path))]


def with_ffmpeg(path):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", path, "-f", "srt", "-"]
    blocks = subprocess.run(command, capture_output=True, text=True).stdout.strip().split("\n\n")
    return [" / ".join(block.splitlines()[2:]) for block in blocks]


vtt, srt = place / "film.vtt", place / "film.srt"
vtt.write_text(VTT)
srt.write_text(SRT)
for name in ("pysubs2", "webvtt-py", "imageio-ffmpeg"):
    print(name, version(name))
others = [" / ".join(caption.lines) for caption in webvtt.read(vtt)], with_ffmpeg(vtt), with_ffmpeg(srt)
seen, seen_srt = with_pysubs2(vtt), with_pysubs2(srt)
print("expected:", SAID)
print("webvtt-py:", others[0])
print("ffmpeg:", others[1])
print("seen:", seen)
print("expected of SubRip:", SAID_SRT)
print("seen:", seen_srt)
surprise = [
    "You owe me / 500 /  / NOTE the door again",
    "Who is there? /  / 4f2c/17-0",
    "I am",
]
without = place / "without.vtt"
without.write_text(VTT.replace("NOTE the door again\n\n", "").replace("4f2c/17-0\n", ""))
dropped = with_pysubs2(without)
print("seen without the comment and the identifier:", dropped)
if (
    others != (SAID, SAID, SAID_SRT)
    or seen != surprise
    or dropped != ["You owe me", *SAID[1:]]
    or seen_srt != [SAID_SRT[0], "How old?"]
):
    sys.exit("the behaviour has changed")
EOF
