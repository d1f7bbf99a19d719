from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.parsing.ids import MAX_ID_LENGTH, LibraryId, parse_id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/quay/harbour", LibraryId("quay", "harbour")),
        ("/quay/harbour/v2.1", LibraryId("quay", "harbour", "v2.1")),
        ("/quay/harbour@v2.1", LibraryId("quay", "harbour", "v2.1")),
        ("  /quay/harbour\n", LibraryId("quay", "harbour")),
        ("/quay/harbour/v1@next", LibraryId("quay", "harbour", "v1@next")),
        ("/quay/harbour@next@2", LibraryId("quay", "harbour", "next@2")),
        ("/quay/@scope", LibraryId("quay", "@scope")),
        ("/quay/@scope@v1", LibraryId("quay", "@scope", "v1")),
        ("/quay/harbour@", LibraryId("quay", "harbour@")),
        ("/@quay/h.a-r_b", LibraryId("@quay", "h.a-r_b")),
        ("/港/波止場", LibraryId("港", "波止場")),
        ("/quay/harbour/latest", LibraryId("quay", "harbour", "latest")),
        ("/quay/harbour@crane", LibraryId("quay", "harbour", "crane")),
        ("/quay/harbour/crane", LibraryId("quay", "harbour/crane")),
        ("/quay/harbour/crane@2.1", LibraryId("quay", "harbour/crane", "2.1")),
        ("/quay/harbour/cranes/crane", LibraryId("quay", "harbour/cranes/crane")),
        ("/quay/harbour/v1/crane@main", LibraryId("quay", "harbour/v1/crane", "main")),
        ("/quay/a/b/c/d", LibraryId("quay", "a/b/c/d")),
    ],
)
def test_an_id_is_read_in_every_spelling(text: str, expected: LibraryId) -> None:
    assert parse_id(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/quay",
        "/quay/",
        "//harbour",
        "/quay/harbour/",
        "/quay//harbour/v1",
        "/quay/harbour/v1/more/",
        "quay/harbour",
        "https://context7.com/quay/harbour",
        "/quay/har bour",
        "/quay/har\tbour",
        "/quay/har\u00a0bour",
        "/quay/har\x00bour",
        "/quay/harbour\u200b",
        "/quay/\u202eruobrah",
        "/quay/\ud800",
        "/quay/" + "h" * MAX_ID_LENGTH,
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    assert parse_id(text) is None


def test_an_id_of_the_greatest_length_is_read() -> None:
    text = "/quay/".ljust(MAX_ID_LENGTH, "h")
    assert str(parse_id(text)) == text


def test_an_id_is_spelled_one_way() -> None:
    pinned = LibraryId("quay", "harbour", "v2")
    assert str(pinned) == "/quay/harbour/v2"
    assert pinned.base == "/quay/harbour"
    assert str(LibraryId("quay", "harbour")) == "/quay/harbour"


@pytest.mark.parametrize("text", ["/quay/harbour/crane", "/quay/harbour/cranes/crane", "/q/a/b/c"])
def test_parse_id_of_more_than_two_parts_stays_as_written(text: str) -> None:
    library_id = parse_id(text)
    assert library_id is not None
    assert str(library_id) == library_id.base == text


@given(st.from_regex(r"/[^/]+/[^/]+([/@][^/]+){0,3}", fullmatch=True))
def test_the_canonical_spelling_of_an_id_reads_as_the_same_id(text: str) -> None:
    library_id = parse_id(text)
    if library_id is not None:
        assert parse_id(str(library_id)) == library_id


@given(st.from_regex(r"/[a-z0-9._-]+/[a-z0-9._-]+([/@][a-z0-9._-]+)?", fullmatch=True))
def test_every_plain_id_is_read(text: str) -> None:
    assert parse_id(text) is not None
