#!/usr/bin/env bash
# m3u8, reading a playlist and writing it as it was, makes players decrypt what was never encrypted.
#
# Promised: the README reads a playlist with `load`, changes it, and writes it with `dumps`. RFC 8216, 4.3.2.4: an
#   EXT-X-KEY applies to every segment, and to every initialization section whose EXT-X-MAP stands after it.
# Seen: where a section stands before the key, so that it is plain, as packagers write it who encrypt segments alone,
#   `dumps` writes the key first. A player then decrypts the plain section: of 100 frames none is shown.
#   The variant of a stereo film is written with REQ-VIDEO_LAYOUT=""CH-STEREO"", which has another name and four
#   quotes; EXT-X-DEFINE is left out, and the addresses that need it stay.
# Costs: a server or a downloader that only puts other addresses into a playlist ruins it, and only for the films that
#   are encrypted in this way; the files themselves are sound.
# Known: that of several keys for one segment the last is kept, in globocom/m3u8#283; in Rust's m3u8-rs the order, in
#   rutgersc/m3u8-rs#83; of this package it was not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    m3u8==6.0.0 imageio-ffmpeg==0.8.1 cryptography==50.0.2
"$place/venv/bin/python" - "$place" <<'EOF'
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import imageio_ffmpeg
import m3u8
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

place = Path(sys.argv[1]) / "film"
place.mkdir()
program = imageio_ffmpeg.get_ffmpeg_exe()
KEY, IV = bytes(range(16)), bytes(16)
MAP = '#EXT-X-MAP:URI="init.mp4"\n'
TAG = f'#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x{IV.hex()}\n'


def ffmpeg(*arguments):
    command = [program, "-v", "error", *arguments]
    return subprocess.run(command, cwd=place, capture_output=True, text=True)


def frames(playlist):
    lines = ffmpeg("-allowed_extensions", "ALL", "-i", playlist, "-f", "framemd5", "-").stdout
    return sum(not line.startswith("#") for line in lines.splitlines())


def order(playlist):
    return [line.split(":")[0] for line in playlist.splitlines() if line.startswith(("#EXT-X-MAP", "#EXT-X-KEY"))]


ffmpeg(
    "-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=4", "-c:v", "libx264", "-g", "25",
    "-f", "hls", "-hls_time", "1", "-hls_segment_type", "fmp4", "-hls_playlist_type", "vod", "plain.m3u8",
)
(place / "key").write_bytes(KEY)
for segment in place.glob("*.m4s"):
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(KEY), modes.CBC(IV)).encryptor()
    padded = padder.update(segment.read_bytes()) + padder.finalize()
    segment.write_bytes(encryptor.update(padded) + encryptor.finalize())
before = (place / "plain.m3u8").read_text().replace(MAP, MAP + TAG)
(place / "before.m3u8").write_text(before)
after = m3u8.loads(before).dumps()
(place / "after.m3u8").write_text(after)
other = m3u8.loads(
    '#EXTM3U\n#EXT-X-VERSION:12\n'
    '#EXT-X-STREAM-INF:BANDWIDTH=9000000,CODECS="hvc1.2.20000000.L123.B0",REQ-VIDEO-LAYOUT="CH-STEREO"\n'
    "stereo.m3u8\n"
)
layout = other.dumps()
variable = m3u8.loads(
    '#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-TARGETDURATION:6\n#EXT-X-DEFINE:NAME="host",VALUE="cdn.example.com"\n'
    "#EXTINF:6,\nhttps://{$host}/film.ts\n#EXT-X-ENDLIST\n"
).dumps()

for name in ("m3u8", "imageio-ffmpeg", "cryptography"):
    print(name, version(name))
print("expected: the same tags in the same order, and 100 frames with both")
print("read:   ", *order(before), "-", frames("before.m3u8"), "frames")
print("written:", *order(after), "-", frames("after.m3u8"), "frames")
print('expected: REQ-VIDEO-LAYOUT="CH-STEREO"; seen', layout.split(",")[-1].split()[0])
print("expected: the variable and its use; seen", variable.count("EXT-X-DEFINE"), "and", variable.count("{$host}"))
if (
    (order(before), frames("before.m3u8")) != (["#EXT-X-MAP", "#EXT-X-KEY"], 100)
    or (order(after), frames("after.m3u8")) != (["#EXT-X-KEY", "#EXT-X-MAP"], 0)
    or 'REQ-VIDEO_LAYOUT=""CH-STEREO""' not in layout
    or (variable.count("EXT-X-DEFINE"), variable.count("{$host}")) != (0, 1)
):
    sys.exit("the behaviour has changed")
EOF
