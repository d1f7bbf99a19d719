"""Wire format between the serving process and its worker: lines, rows and vectors."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.registry.rows import Row, row_of, row_value
from context7_fabric.suggestions.worker import wire
from context7_fabric.suggestions.worker.wire import LineTooLong, WorkerLines

TEXT = st.text(max_size=20)
ROWS = st.builds(
    Row,
    TEXT,
    st.sampled_from(["pypi", "npm", ""]),
    aliases=st.lists(TEXT, max_size=3).map(tuple),
    versions=st.lists(TEXT, max_size=3).map(tuple),
    description=TEXT,
    last_verified=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    usage_count=st.integers(0, 10**12),
)


def lines_of(*chunks: bytes, longest: int = 10) -> list[bytes | None]:
    lines = WorkerLines(longest)
    return [line for chunk in chunks for line in lines.feed(chunk)]


@given(ROWS)
def test_a_row_arrives_as_it_was_sent(row: Row) -> None:
    line = wire.encode({"row": row_value(row)})
    assert line.count(b"\n") == 1
    assert row_of(wire.decode(line.rstrip())["row"]) == row


@given(st.binary(max_size=64))
def test_a_vector_arrives_as_it_was_sent(vector: bytes) -> None:
    assert wire.vector_from_wire(json.loads(json.dumps(wire.vector_to_wire(vector)))) == vector


@given(st.lists(st.binary(max_size=8).map(lambda line: line.replace(b"\n", b"")), max_size=9))
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes]) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    for size in (1, 3, 100):
        chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert lines_of(*chunks) == lines


@pytest.mark.parametrize("chunks", [(b"x" * 11 + b"\nnext\n",), (b"x" * 8, b"x" * 8, b"x\nnext\n")])
def test_a_line_too_long_is_left_out_and_the_next_one_read(chunks: tuple[bytes, ...]) -> None:
    assert lines_of(*chunks) == [None, b"next"]


def test_of_an_endless_line_nothing_is_kept() -> None:
    lines = WorkerLines(10)
    for _ in range(100):
        assert list(lines.feed(b"x" * 9)) == []
        assert len(lines._begun) <= 10
    assert list(lines.feed(b"\n")) == [None]


def test_a_message_too_long_for_a_line_is_not_sent() -> None:
    with pytest.raises(LineTooLong):
        wire.encode({"text": "x" * wire.LONGEST_LINE})


@pytest.mark.parametrize("line", [b"", b"garbage", b"[1]", b"null", b"\xff\xfe", None])
def test_a_line_that_is_no_message_is_refused(line: bytes | None) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of whatever kind: callers tell no difference
        wire.decode(line)
