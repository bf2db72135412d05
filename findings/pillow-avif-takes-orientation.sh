#!/usr/bin/env bash
# Pillow, saving an AVIF, takes the orientation out of the caller's Exif: whatever is saved after it lies on its side.
#
# Promised: `exif` is an option of `save` for AVIF as it is for JPEG, PNG and WebP, each of which leaves the object as it
#   was. A picture that was opened is not changed by saving it elsewhere.
# Seen: AVIF has `irot` for the turn, so the plugin moves the orientation there, out of the object that it was given
#   and not out of a copy. `getexif` of an opened picture is always the same object: after one AVIF the
#   picture itself has no orientation any more, and exif_transpose does not turn it. Of one Exif and
#   several files, the AVIF is upright, and the JPEG and the WebP after it are not; a second
#   AVIF is not either. With exif.tobytes(), or in another order, all are.
# Costs: a picture server makes an AVIF, a WebP and a JPEG of each photo, in that order, the best first: browsers with
#   AVIF show portraits upright, and all others, thumbnails too, on their sides.
# Known: not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check pillow==13.0.0
"$place/venv/bin/python" - <<'EOF'
import io
import sys
from importlib.metadata import version

from PIL import ExifTags, Image, ImageOps


def photo():
    """Return a portrait, taken with a camera that was held upright."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    file = io.BytesIO()
    Image.new("RGB", (64, 48)).save(file, "JPEG", exif=exif)
    return Image.open(file)


def shown(image, kind, exif):
    """Return how the picture looks once it is saved."""
    file = io.BytesIO()
    image.save(file, kind, exif=exif)
    with Image.open(file) as saved:
        width, height = ImageOps.exif_transpose(saved).size
    return "upright" if width < height else "lying"


def in_order(*kinds):
    image = photo()
    files = {f"{number} {kind}": shown(image, kind, image.getexif()) for number, kind in enumerate(kinds, 1)}
    width, height = ImageOps.exif_transpose(image).size
    return {**files, "the picture itself": "upright" if width < height else "lying"}


def with_bytes(*kinds):
    image = photo()
    exif = image.getexif().tobytes()
    return {f"{number} {kind}": shown(image, kind, exif) for number, kind in enumerate(kinds, 1)}


print("pillow", version("pillow"))
print("expected: all are upright")
seen = {
    "other formats": in_order("JPEG", "PNG", "WEBP"),
    "AVIF last": in_order("JPEG", "WEBP", "AVIF"),
    "AVIF first": in_order("AVIF", "WEBP", "JPEG", "PNG", "AVIF"),
    "AVIF first, the Exif as bytes": with_bytes("AVIF", "WEBP", "JPEG", "PNG", "AVIF"),
}
for what, files in seen.items():
    print(f"seen with {what}:", *(f"{file} {looks}," for file, looks in files.items()))
lying = {what: [file for file, looks in files.items() if looks == "lying"] for what, files in seen.items()}
if lying != {
    "other formats": [],
    "AVIF last": ["the picture itself"],
    "AVIF first": ["2 WEBP", "3 JPEG", "4 PNG", "5 AVIF", "the picture itself"],
    "AVIF first, the Exif as bytes": [],
}:
    sys.exit("the behaviour has changed")
EOF
