#!/usr/bin/env bash
# pillow-heif lays a photo on its side when it is given the Exif of Pillow, and stands it up when given the same bytes.
#
# Promised: of `save`: "exif - override primary image's EXIF with specified. Accepts None, bytes or PIL.Image.Exif
#   class", as Pillow's own formats do. HEIF turns a picture by `irot` and `imir`, whatever its Exif says,
#   so pillow-heif reads the orientation out of the Exif that it is to write, and sets those.
# Seen: it looks into bytes only. Of an Image.Exif, which `getexif` gives and which is passed on as it is, it sees
#   nothing: an AttributeError is caught and dropped. The picture is stored as the camera lay, without a turn;
#   the Exif in the file still has 6, which readers of HEIF ignore, and pillow-heif says that it is 1.
#   With the bytes, or with no exif= at all, the same photo is upright, and so is an AVIF.
# Costs: all portraits of an archive lie on their sides after the move to HEIC, and Pillow's exif_transpose does not
#   mend it, for the orientation is 1; the JPEGs are often deleted by then.
# Known: that the orientation is 1 after opening, in wiltodelta/remove-ai-watermarks#105; of writing not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    pillow-heif==1.8.1 pillow==13.0.0 imageio-ffmpeg==0.8.1
"$place/venv/bin/python" - "$place" <<'EOF'
import io
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import imageio_ffmpeg
import pillow_heif
from PIL import ExifTags, Image, ImageOps

place = Path(sys.argv[1])
ORIENTATION = ExifTags.Base.Orientation
pillow_heif.register_heif_opener()


def photo():
    """Return a portrait, taken with a camera that was held upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    file = io.BytesIO()
    Image.new("RGB", (64, 48)).save(file, "JPEG", exif=exif)
    return Image.open(file)


def stored(kind, **options):
    """Return the size of the photo as it is shown, by Pillow and by ffmpeg."""
    path, shown = place / f"photo.{kind}", place / "shown.png"
    photo().save(path, kind.upper(), **options)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", path, "-frames:v", "1", shown]
    subprocess.run(command, check=True)
    with Image.open(path) as image, Image.open(shown) as frame:
        return ImageOps.exif_transpose(image).size, frame.size


for name in ("pillow-heif", "pillow", "imageio-ffmpeg"):
    print(name, version(name))
seen = {
    "HEIF, no exif": stored("heif"),
    "HEIF, exif's bytes": stored("heif", exif=photo().getexif().tobytes()),
    "AVIF, exif": stored("avif", exif=photo().getexif()),
    "HEIF, exif": stored("heif", exif=photo().getexif()),
}
with Image.open(place / "photo.heif") as image:
    says, said = image.getexif()[ORIENTATION], image.info["original_orientation"]
print("expected by Pillow and by ffmpeg: (48, 64), upright")
for what, sizes in seen.items():
    print(f"seen of {what}:", *sizes)
print(f"orientation of the last: {says} by Pillow, {said} in the file")
upright, lying = ((48, 64),) * 2, ((64, 48),) * 2
if list(seen.values()) != [upright] * 3 + [lying] or (says, said) != (1, 6):
    sys.exit("the behaviour has changed")
EOF
