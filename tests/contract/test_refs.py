"""The names of tasks: what an id may be, and what a ref survives."""

from __future__ import annotations

import copy
import itertools
import pickle
import random
import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitoearn_async import AnyRef, ImageRef, TaskRef, VideoRef, parse_ref
from tests.support.cases import case
from tests.support.texts import CHARACTERS

from .strategies import moderate

KINDS: list[type[AnyRef]] = [ImageRef, VideoRef]
HEX = "66aabbccddeeff0011223344"

VALID = ["a", "0", "-", "_", HEX, HEX.upper(), "not-an-id", "a" * 128, "-_-", "123456789012"]
INVALID = [
    "",
    "a" * 129,
    "a" * 1_000_000,
    " ",
    f" {HEX}",
    f"{HEX} ",
    f"{HEX}\n",
    "a\nb",
    "a\r\nX-Evil: 1",
    ".",
    "..",
    "../../user",
    "a/b",
    "a\\b",
    "a?b",
    "a#b",
    "a%2Fb",
    "%36%36",
    "a:b",
    "a;b",
    "a@b",
    "a\x00b",
    "\ud800",
    "中",
    "é",
    "\u0661\u0662",  # digits, but not ASCII's
    "\uff11",
    "\u212a",  # the Kelvin sign, which is a k without case
    "\u200b",
]

ids = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=128)
refs: st.SearchStrategy[AnyRef] = st.builds(ImageRef, ids) | st.builds(VideoRef, ids)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("id", VALID)
def test_valid_ids(kind: type[AnyRef], id: str) -> None:
    """An id of the allowed characters is kept as it is."""
    assert kind(id).id == id


@pytest.mark.parametrize("kind", KINDS)
def test_invalid_ids(kind: type[AnyRef]) -> None:
    """Anything else is refused, in a short message of printable ASCII that shows the id."""
    for id in INVALID:
        with case(id):
            with pytest.raises(ValueError, match=r"^not a task id: ") as caught:
                kind(id)
            message = str(caught.value)
            assert message.isascii()
            assert message.isprintable()
            assert len(message) < 300
            assert ascii(id)[1:20].rstrip("'") in message
            with pytest.raises(ValueError, match=r"^not a task"):
                parse_ref(f"{kind.__name__[:5].lower()}:{id}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("id", [None, 66, b"66", ["66"], ImageRef("66")])
def test_ids_are_text(kind: type[AnyRef], id: object) -> None:
    """An id that is no str is a TypeError that names what it is."""
    with pytest.raises(TypeError, match=f"a task id is a str, not {type(id).__name__}"):
        kind(id)  # type: ignore[arg-type]


@moderate
@given(st.text(CHARACTERS))
def test_an_id_is_the_same_in_a_path(text: str) -> None:
    """What is accepted means the same inside a URL; what does not is refused."""
    plain = 0 < len(text) <= 128 and set(text) <= set(string.ascii_letters + string.digits + "-_")
    try:
        ref = ImageRef(text)
    except ValueError:
        assert not plain
    else:
        assert plain
        assert ref.id == text


@moderate
@given(refs)
def test_parse_ref_is_the_inverse_of_str(ref: AnyRef) -> None:
    """A ref comes back from its text as it was."""
    assert parse_ref(str(ref)) == ref


@moderate
@given(refs)
def test_round_trips(ref: AnyRef) -> None:
    """A ref comes back from pickles, copies, JSON and MessagePack, of its own kind."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(ref, protocol)) == ref
    assert copy.copy(ref) == ref
    assert copy.deepcopy(ref) == ref
    assert msgspec.json.decode(msgspec.json.encode(ref), type=AnyRef) == ref
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(ref), type=AnyRef) == ref
    assert msgspec.convert(msgspec.to_builtins(ref), AnyRef) == ref
    assert eval(repr(ref)) == ref


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        (f"image:{HEX}", ImageRef(HEX)),
        (f"video:{HEX}", VideoRef(HEX)),
        ("image:image", ImageRef("image")),
        ("video:-", VideoRef("-")),
    ],
)
def test_parse_ref(text: str, ref: AnyRef) -> None:
    """The kind stands before the colon, the id after it."""
    assert parse_ref(text) == ref
    assert str(ref) == text
    assert f"{ref}" == text


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "image", "image:", ":66", HEX, "audio:66", "IMAGE:66", " image:66"),
        *("image :66", "image: 66", "image:66 ", "image:66\n", "image:a:b", "image：66"),
        *("image/66", "\ud800:66", "image:\ud800", "x" * 1_000_000, "image:" + "x" * 129),
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_parse_ref_refuses(text: str) -> None:
    """Text that is no ref is a ValueError, in a short message of printable ASCII."""
    with pytest.raises(ValueError, match=r"^not a task") as caught:
        parse_ref(text)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("given", [b"image:66", None, 66])
def test_parse_ref_reads_text(given: Any) -> None:
    """Bytes, as Redis gives them, are a TypeError that says so."""
    with pytest.raises(TypeError, match=f"read from a str, not {type(given).__name__}: "):
        parse_ref(given)


def test_kind() -> None:
    """A ref knows its kind, in the word that str and JSON use."""
    assert (ImageRef("a").kind, VideoRef("a").kind) == ("image", "video")


def test_equality_and_hash() -> None:
    """Equal refs count once in a set; the kind is part of the name, and case matters."""
    assert {ImageRef("a"), ImageRef("a"), VideoRef("a"), ImageRef("A")} == {
        VideoRef("a"),
        ImageRef("A"),
        ImageRef("a"),
    }
    assert len({ImageRef("a"), VideoRef("a")}) == 2
    names: list[object] = ["image:a", ("image", "a")]
    assert ImageRef("a") not in names


def test_frozen() -> None:
    """A ref cannot be changed, so it is safe as a key."""
    ref = ImageRef("a")
    with pytest.raises(AttributeError):
        ref.id = "b"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        ref.other = "b"  # type: ignore[attr-defined]


def test_order() -> None:
    """Refs of both kinds sort together: by kind, then by id, in all four comparisons."""
    expected: list[TaskRef[object]] = [*map(ImageRef, "09AZ_az"), *map(VideoRef, "09AZ_az")]
    mixed = random.Random(66).sample(expected, len(expected))
    assert sorted(mixed) == expected
    for (i, a), (j, b) in itertools.product(enumerate(expected), repeat=2):
        assert (a < b, a <= b, a > b, a >= b) == (i < j, i <= j, i > j, i >= j)


def test_order_needs_refs() -> None:
    """A ref does not compare with what is none."""
    with pytest.raises(TypeError):
        _ = ImageRef("a") < "image:b"
    with pytest.raises(TypeError):
        _ = ImageRef("a") >= None


def test_json_form() -> None:
    """As JSON a ref is an object of kind and id, the same in every version."""
    assert msgspec.json.encode(ImageRef("66")) == b'{"kind":"image","id":"66"}'
    assert msgspec.json.encode([VideoRef("67")]) == b'[{"kind":"video","id":"67"}]'


@pytest.mark.parametrize(
    "json",
    [
        b'{"kind":"image","id":""}',
        b'{"kind":"image","id":"../x"}',
        b'{"kind":"image","id":5}',
        b'{"kind":"image"}',
        b'{"kind":"audio","id":"66"}',
        b'{"id":"66"}',
        b'"image:66"',
    ],
)
def test_json_is_checked_too(json: bytes) -> None:
    """An id that comes in through JSON is held to the same rules."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json, type=AnyRef)


def test_an_invalid_ref_cannot_be_made_by_pickle() -> None:
    """A tampered pickle is held to the same rules as well."""
    pickled = pickle.dumps(ImageRef("abcdef"), 2).replace(b"abcdef", b"../../")
    with pytest.raises(ValueError, match="not a task id"):
        pickle.loads(pickled)
