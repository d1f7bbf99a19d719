"""Encoded contexts decode to themselves, and all other bytes are corrupt."""

from __future__ import annotations

import json
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.errors import CorruptEntry
from context7_fabric.fabric.backend import CHECKED_START
from context7_fabric.fabric.codec import MAX_DEPTH, decode, encode
from context7_fabric.fabric.context import Context, Json, Scope

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY_TEXT
)
VALUES: st.SearchStrategy[Json] = st.recursive(
    PLAIN, lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner), max_leaves=20
)
TIMES = st.floats(0, 4e9)
CONTEXTS = st.builds(
    Context,
    key=ANY_TEXT,
    value=VALUES,
    scope=st.sampled_from(Scope),
    created_at=TIMES,
    expires_at=st.none() | TIMES,
    metadata=st.dictionaries(ANY_TEXT, VALUES, max_size=3),
    version=st.integers(1),
)


def read(data: bytes) -> Context:
    return decode("key", Scope.GLOBAL, data)


def checked(rest: bytes, start: bytes = CHECKED_START) -> bytes:
    """Bytes with the right checksum for the key, whatever they hold."""
    return start + b'"crc32":"%08x",' % crc32(b"GLOBAL/key" + rest) + rest


def written(body: str, *, start: bytes = CHECKED_START) -> bytes:
    return checked(body.encode("utf-8", "surrogatepass"), start)


@given(CONTEXTS)
def test_what_is_encoded_is_decoded_to_the_same(context: Context) -> None:
    data = encode(context)
    assert decode(context.key, context.scope, data, context.version) == context


@given(CONTEXTS)
def test_what_is_encoded_is_one_json_object_with_its_format(context: Context) -> None:
    assert encode(context).startswith(CHECKED_START)
    record = json.loads(encode(context).decode("utf-8", "surrogatepass"))
    assert record["format"] == 2
    assert record["value"] == context.value


@given(CONTEXTS, st.data())
def test_what_is_cut_short_is_corrupt(context: Context, data: st.DataObject) -> None:
    whole = encode(context)
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(CorruptEntry):
        read(whole[:length])


@given(CONTEXTS, st.data())
def test_what_has_a_wrong_bit_is_corrupt(context: Context, data: st.DataObject) -> None:
    damaged = bytearray(encode(context))
    bit = data.draw(st.integers(0, 8 * len(damaged) - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CorruptEntry):
        read(bytes(damaged))


def test_a_comma_that_turns_into_a_point_does_not_make_one_number_of_two() -> None:
    data = encode(Context("key", [1, 2], Scope.GLOBAL, created_at=0.0))
    with pytest.raises(CorruptEntry, match="its checksum is wrong"):
        read(data.replace(b"[1,2]", b"[1.2]"))


@given(CONTEXTS, st.text(max_size=9), st.sampled_from(Scope))
def test_what_was_encoded_for_another_key_is_corrupt(
    context: Context, key: str, scope: Scope
) -> None:
    if (scope, key) == (context.scope, context.key):
        key += "'"
    with pytest.raises(CorruptEntry, match="its checksum is wrong"):
        decode(key, scope, encode(context))


@given(st.binary())
def test_foreign_bytes_are_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptEntry):
        read(data)


@pytest.mark.parametrize("version", [b"1", b"3", b"22", b"2.0"])
def test_another_format_is_not_read(version: bytes) -> None:
    body = '"value":1,"metadata":{},"created_at":1.0,"expires_at":null}'
    with pytest.raises(CorruptEntry, match="not of a format this version reads"):
        read(written(body, start=b'{"format":%s,' % version))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('"value":', "not JSON"),
        ('"value":1}\xff', "not JSON"),
        ("}", "not JSON"),
        ('"value":' + "[" * 100_000, "not JSON"),
        ('"value":' + "9" * 10_000 + "}", "not JSON"),
        ('"value":1,"metadata":{},"expires_at":null}', "its times are not numbers"),
        ('"value":1,"metadata":{},"created_at":true}', "its times are not numbers"),
        ('"value":1,"metadata":{},"created_at":"1"}', "its times are not numbers"),
        ('"value":1,"metadata":{},"created_at":NaN}', "its times are not numbers"),
        ('"value":1,"metadata":{},"created_at":1e999}', "its times are not numbers"),
        (f'"value":1,"metadata":{{}},"created_at":1{"0" * 400}}}', "its times are not numbers"),
        ('"value":1,"metadata":{},"created_at":1,"expires_at":"1"}', "its times are not numbers"),
        ('"metadata":{},"created_at":1}', "it lacks a part"),
        ('"value":1,"created_at":1}', "it lacks a part"),
        ('"value":1,"metadata":[],"created_at":1}', "it lacks a part"),
    ],
)
def test_what_is_no_entry_is_corrupt_in_spite_of_its_checksum(body: str, reason: str) -> None:
    with pytest.raises(CorruptEntry, match=reason) as corrupt:
        read(written(body))
    assert (corrupt.value.key, corrupt.value.reason) == ("key", reason)


def test_bytes_that_are_no_utf_8_are_corrupt() -> None:
    rest = b'"value":"\xff","metadata":{},"created_at":1}'
    with pytest.raises(CorruptEntry, match="not JSON"):
        read(checked(rest))


def test_times_are_numbers_with_a_fraction_or_without() -> None:
    context = read(written('"value":1,"metadata":{},"created_at":1,"expires_at":2}'))
    assert (context.created_at, context.expires_at) == (1.0, 2.0)


@pytest.mark.parametrize(
    "value", [object(), b"bytes", {1, 2}, 1j, {1: "a"}, {None: 1}, [{"a": [{2: 3}]}], [b""]]
)
def test_what_is_not_json_is_refused(value: Json) -> None:
    with pytest.raises(TypeError):
        encode(Context("key", value, Scope.GLOBAL, created_at=0.0))
    with pytest.raises(TypeError):
        encode(Context("key", None, Scope.GLOBAL, created_at=0.0, metadata={"a": value}))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_no_number_of_json_is_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match=r"value\[0\] is -?(nan|inf), which JSON cannot say"):
        encode(Context("key", [number], Scope.GLOBAL, created_at=0.0))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {"b": object()}]}, "value['a'][1]['b'] is not JSON but object"),
        (b"", "value is not JSON but bytes"),
        ([{"a": {2: 3}}], "value[0]['a'] is not JSON: its name 2 is no text"),
    ],
)
def test_an_error_names_the_place_of_what_is_not_json(value: Json, message: str) -> None:
    with pytest.raises(TypeError) as refused:
        encode(Context("key", value, Scope.GLOBAL, created_at=0.0))
    assert str(refused.value) == message


def test_nesting_has_a_bound() -> None:
    assert read(encode(_nested(MAX_DEPTH))).value == _nested(MAX_DEPTH).value
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(ValueError, match="nested more than 100 deep"):
            encode(_nested(depth))


def _nested(depth: int) -> Context:
    value: Json = 1
    for _ in range(depth):
        value = [value]
    return Context("key", value, Scope.GLOBAL, created_at=0.0)
