#!/usr/bin/env bash
# msgspec's JSON schema for a timedelta forbids most of what msgspec itself writes for one.
#
# Promised: "JSON Schema": `msgspec.json.schema` describes a type by JSON Schema 2020-12, for others
#   to validate what is sent. "Supported types": a timedelta is an ISO 8601 duration, and a fraction
#   of a second or a minus sign is part of it.
# Seen: the schema says `format: duration`. Section 7.3.1 of JSON Schema's validation takes that from
#   RFC 3339, appendix A, which has neither fractions nor signs. So every measured time and every
#   negative one that msgspec encodes, and decodes again exactly, is invalid by its own schema.
# Costs: a gateway or a client that checks formats refuses the service's own answers, but only those
#   whose time is no whole number of seconds: tests with round figures pass.
# Known: whether the format should allow it, in json-schema-org/json-schema-spec#1603; a validator
#   asked to, in ajv-validator/ajv-formats#124. Of msgspec it was not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    msgspec==0.23.0 jsonschema-rs==0.61.2
"$place/venv/bin/python" - <<'EOF'
import sys
from datetime import timedelta
from importlib.metadata import version

import jsonschema_rs
import msgspec

for name in ("msgspec", "jsonschema-rs"):
    print(name, version(name))

schema = msgspec.json.schema(timedelta)
validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
print("schema:", schema)
print("expected: valid, each of them")
seen = {}
for length in (timedelta(seconds=90), timedelta(seconds=1.5), timedelta(minutes=-5)):
    text = msgspec.json.encode(length)
    assert msgspec.json.decode(text, type=timedelta) == length
    seen[text.decode()] = validator.is_valid(msgspec.json.decode(text))
    print("seen:", text.decode(), "is", "valid" if seen[text.decode()] else "invalid")
if seen != {'"PT90S"': True, '"PT1.5S"': False, '"-PT300S"': False}:
    sys.exit("the behaviour has changed")
EOF
