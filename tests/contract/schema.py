"""What the two endpoints answer, as JSON Schemas of our own, in three readings.

`published`  the vendor's contract to the letter;
`observed`   what real servers have been seen to send;
`TOLERATED`  what this package takes for a task: much wider than either, on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from jsonschema import Draft202012Validator
from jsonschema.validators import extend

Schema = Mapping[str, Any]
Kind = Literal["image", "video"]
Dialect = Literal["published", "observed"]

MOMENT_PATTERN = r"^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{3}Z$"

TEXT: Schema = {"type": "string"}
ID: Schema = {"type": "string", "pattern": r"^[A-Za-z0-9_-]{1,128}$"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
MOMENT: Schema = {"type": "string", "pattern": MOMENT_PATTERN}
TEXTS: Schema = {"type": "array", "items": TEXT}
FREE: Schema = {"type": "object"}


def closed(required: Mapping[str, Schema], optional: Mapping[str, Schema]) -> Schema:
    """An object of these fields and no others."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _image(dialect: Dialect) -> Schema:
    points = {"points": NUMBER}
    url = TEXT if dialect == "published" else nullable(TEXT)
    picture = closed({}, {"url": url, "b64_json": TEXT, "revised_prompt": TEXT})
    return closed(
        {
            "logId": ID,
            "status": {"enum": ["generating", "success", "failed"]},
            "startedAt": MOMENT,
            "request": FREE,
            "createdAt": MOMENT,
            "updatedAt": MOMENT,
            **(points if dialect == "published" else {}),
        },
        {
            "duration": NUMBER,
            "response": FREE,
            "images": {"type": "array", "items": picture},
            "errorMessage": TEXT,
            **(points if dialect == "observed" else {}),
        },
    )


def _video(dialect: Dialect) -> Schema:
    watermark = {"watermark": BOOLEAN} if dialect == "observed" else {}
    asked = closed(
        {"prompt": TEXT},
        {
            "groupId": TEXT,
            "image": {"anyOf": [TEXT, TEXTS]},
            "images": TEXTS,
            "audios": TEXTS,
            "duration": NUMBER,
            "aspectRatio": TEXT,
            "resolution": TEXT,
            "videoUrl": TEXT,
            "videos": TEXTS,
            **watermark,
        },
    )
    return closed(
        {
            "id": ID,
            "model": TEXT,
            "status": TEXT,
            "input": asked,
            "submittedAt": MOMENT,
            "startedAt": MOMENT,
        },
        {
            "videoUrl": TEXT,
            "coverUrl": TEXT,
            "mediaId": TEXT,
            "groupId": TEXT,
            "error": closed({"message": TEXT}, {}),
            "finishedAt": MOMENT,
        },
    )


TASKS: dict[tuple[Kind, Dialect], Schema] = {
    ("image", "published"): _image("published"),
    ("image", "observed"): _image("observed"),
    ("video", "published"): _video("published"),
    ("video", "observed"): _video("observed"),
}
ID_FIELDS: dict[Kind, str] = {"image": "logId", "video": "id"}


def good(data: Schema, dialect: Dialect) -> Schema:
    """The envelope of a success."""
    if dialect == "observed":
        return closed({"data": data, "code": {"const": 0}, "message": TEXT, "requestId": TEXT}, {})
    return closed(
        {"code": {"const": 0}, "message": TEXT, "data": data},
        {"requestId": TEXT, "timestamp": {"type": "integer"}},
    )


# What failed before the server knew its route has no request id.
REFUSAL = closed(
    {
        "data": closed({}, {}),
        "code": {"type": "integer", "minimum": 1},
        "message": TEXT,
        "timestamp": {"type": "integer", "minimum": 1},
    },
    {"requestId": TEXT},
)


def answer(kind: Kind, dialect: Dialect) -> Schema:
    """Whatever an endpoint says."""
    return {"anyOf": [good(TASKS[kind, dialect], dialect), REFUSAL]}


def _tolerated(schema: Schema, required: tuple[str, ...] = ()) -> Schema:
    """The same, but open, with every field optional and nullable that is not required."""
    if "anyOf" in schema:
        return {"anyOf": [_tolerated(choice) for choice in schema["anyOf"]]}
    if schema.get("type") == "array":
        return {"type": "array", "items": _tolerated(schema["items"])}
    if "properties" not in schema:
        return TEXT if _is_text(schema) else schema
    fields = {
        name: _tolerated(field) if name in required else nullable(_tolerated(field))
        for name, field in schema["properties"].items()
        if not name.endswith("At")
    }
    return {"type": "object", "properties": fields, "required": list(required)}


def _is_text(schema: Schema) -> bool:
    return schema.get("type") == "string" or "enum" in schema


def _tolerated_answer(kind: Kind) -> Schema:
    data = dict(_tolerated(TASKS[kind, "observed"], (ID_FIELDS[kind], "status")))
    # Content counts before its dress: an id may be a number, a request id anything.
    data["properties"] = {**data["properties"], ID_FIELDS[kind]: {"type": ["string", "integer"]}}
    return {
        "type": "object",
        "properties": {
            "code": {"type": "integer", "const": 0},
            "data": data,
        },
        "required": ["code", "data"],
    }


TOLERATED: dict[Kind, Schema] = {
    "image": _tolerated_answer("image"),
    "video": _tolerated_answer("video"),
}
"""What is taken for a task. Points in time may be anything: see `test_models`."""

REFUSED: Schema = {
    "type": "object",
    "properties": {
        "code": {"type": "integer", "not": {"const": 0}},
    },
    "required": ["code"],
}
"""What is taken for the service's no, whatever else stands in it."""


def _is_integer(_: object, value: object) -> bool:
    # To JSON Schema 1.0 is an integer too. The service is not written in such a language.
    return isinstance(value, int) and not isinstance(value, bool)


Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def check(json: object, schema: Schema) -> None:
    """Assert that JSON is as a schema says, and say where it is not."""
    errors = [
        f"{error.json_path}: {error.message}" for error in Validator(schema).iter_errors(json)
    ]
    assert not errors, "\n".join(errors)


def fits(json: object, schema: Schema) -> bool:
    """Whether JSON is as a schema says."""
    return bool(Validator(schema).is_valid(json))
