#!/usr/bin/env bash
# Signing an Ultra HDR picture with C2PA, or giving it a title with Exiv2, leaves its index beside its gain map.
#
# Promised: CIPA DC-007, Multi-Picture Format: where the second picture begins is counted from the MPF segment of the
#   first. c2pa reports the picture that it signed as "Valid", and Exiv2 is there to write metadata of pictures.
# Seen: libultrahdr 1.4, the library of Android, writes that segment near the beginning of the file. c2pa and Exiv2 put
#   theirs behind it, 24 kB or some bytes, and leave the offset: where it points, no picture begins. c2pa hashes
#   the wrong offset with the rest. piexif puts its segment in front, and all is well, as it is
#   with pictures whose index comes after the place, such as Pillow's.
# Costs: whoever goes by the index has no gain map, so the picture has lost its HDR; Pillow raises "not a JPEG file" for
#   the second frame. libultrahdr itself looks through all the bytes and does not notice. To mend the offset
#   afterwards breaks the signature.
# Known: of c2pa and Exiv2 not found. That the segment should stand further back, in google/libultrahdr#394, of May
#   2026; the files of before have it in front.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    c2pa-python==0.38.1 pyexiv2==2.16.0 piexif==1.1.3 imagecodecs==2026.3.6 pillow==13.0.0 cryptography==50.0.2
"$place/venv/bin/python" - "$place" <<'EOF'
import io
import json
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import c2pa
import imagecodecs
import numpy
import piexif
import pyexiv2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

place = Path(sys.argv[1])


def certificate(subject, key, issuer, issuer_key):
    def name(words):
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, words)])

    authority = key is issuer_key
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    usage = x509.KeyUsage(True, False, False, False, False, authority, authority, False, False)
    builder = (
        x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
    )
    if not authority:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, SHA256()).public_bytes(Encoding.PEM)


def signed(picture):
    top, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    chain = certificate("us", own, "them", top) + certificate("them", top, "them", top)
    key = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    created = {
        "action": "c2pa.created",
        "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    }
    manifest = {
        "claim_generator_info": [{"name": "us", "version": "1"}],
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [created]}}],
    }
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, key, None))
    result = io.BytesIO()
    c2pa.Builder(json.dumps(manifest)).sign(signer, "image/jpeg", io.BytesIO(picture), result)
    return result.getvalue()


def titled(picture):
    path = place / "picture.jpg"
    path.write_bytes(picture)
    with pyexiv2.Image(str(path)) as image:
        image.modify_xmp({"Xmp.dc.title": "a cat"})
    return path.read_bytes()


def described(picture):
    result = io.BytesIO()
    piexif.insert(piexif.dump({"0th": {piexif.ImageIFD.ImageDescription: b"a cat"}}), picture, result)
    return result.getvalue()


def second(picture):
    """Return what Pillow finds where the index of the first picture says that the second one is."""
    with Image.open(io.BytesIO(picture)) as image:
        image.load()
        try:
            image.seek(1)
            image.load()
        except SyntaxError as error:
            return str(error)
        return f"{image.width}x{image.height}"


light = numpy.ones((64, 96, 4), numpy.float16)
light[:32, :, 0] = 4  # brighter than white
hdr = imagecodecs.ultrahdr_encode(light)
mpo = io.BytesIO()
plain = Image.new("RGB", (96, 64))
plain.save(mpo, "MPO", save_all=True, append_images=[plain])

for name in ("c2pa-python", "pyexiv2", "piexif", "imagecodecs", "pillow", "cryptography"):
    print(name, version(name))
print(imagecodecs.ultrahdr_version())
signature = signed(hdr)
state = c2pa.Reader("image/jpeg", io.BytesIO(signature)).get_validation_state()
seen = {
    "as it was made": second(hdr),
    "with piexif": second(described(hdr)),
    "with Exiv2": second(titled(hdr)),
    "with c2pa": second(signature),
    "Pillow's own, with Exiv2": second(titled(mpo.getvalue())),
    "Pillow's own, with c2pa": second(signed(mpo.getvalue())),
}
print("expected where the index says that the second picture is: 96x64")
for what, came in seen.items():
    print(f"seen {what}: {came}")
print("what c2pa says of it:", state)
beside = {what for what, came in seen.items() if came == "not a JPEG file"}
if beside != {"with Exiv2", "with c2pa"} or state != "Valid" or len(set(seen.values())) != 2:
    sys.exit("the behaviour has changed")
EOF
