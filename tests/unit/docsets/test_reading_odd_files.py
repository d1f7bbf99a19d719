"""Odd documents: no crash, every line accounted for, time in proportion to the length."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context7_fabric.docsets.reading.documents import DocumentReading, read_document
from support.odd_documents import GROWING, SMALL

WORD = re.compile(r"[a-z]{3,}|\d\.\d")


def no_include(path: str, target: str) -> str | None:
    del path, target
    return None


def read(path: str, text: str) -> DocumentReading:
    return read_document(path, text, no_include)


def lines_of(text: str) -> list[str]:
    plain = text.replace("\0", "").removeprefix("\ufeff")
    return [line for line in re.split(r"\r\n|\r|\n", plain) if line.strip()]


def words_of(text: str) -> set[str]:
    return set(WORD.findall(text.lower()))


def lines_not_shown(text: str, reading: DocumentReading) -> int:
    """Count the lines with words of which none stands in a snippet."""
    shown = words_of(" ".join(f"{each.title} {each.text}" for each in reading.snippets))
    worded = (words_of(line) for line in lines_of(text))
    return sum(1 for words in worded if words and not words & shown)


@pytest.mark.parametrize("path", SMALL)
def test_odd_document_has_every_line_in_a_snippet_or_counted(path: str) -> None:
    reading = read(path, SMALL[path])
    assert reading.lines == len(lines_of(SMALL[path]))
    assert reading.kept + sum(reading.left_out.values()) == reading.lines
    assert lines_not_shown(SMALL[path], reading) <= sum(reading.left_out.values())
    assert all(
        each.text.strip() and each.title.strip() and each.path == path for each in reading.snippets
    )


def test_odd_documents_are_a_hundred() -> None:
    assert len(SMALL) >= 100


@pytest.mark.parametrize("path", GROWING)
def test_growing_document_takes_time_in_proportion_to_its_length(path: str) -> None:
    small = min(seconds(path, LARGE // 8) for _ in range(2))
    large = seconds(path, LARGE)
    if large > MOST_TIMES * small:  # another process may have had the processor
        large = min(large, seconds(path, LARGE))
    assert large < 0.05 or large <= MOST_TIMES * small


MOST_TIMES = 30
"""Times as long that eight times as much may take."""

LARGE = 64 * 1024
"""Characters at which reading that is quadratic takes 64 times as long as at an eighth of it."""


def seconds(path: str, length: int) -> float:
    """Return the processor time of reading a pattern repeated to a length."""
    text = GROWING[path] * (length // len(GROWING[path]))
    began = time.process_time()
    reading = read(path, text)
    took = time.process_time() - began
    assert reading.kept + sum(reading.left_out.values()) == reading.lines
    return took


LINES = st.sampled_from(
    [line for text in SMALL.values() for line in text.split("\n") if "{}" not in line]
)
ANY_LINES = st.lists(st.one_of(LINES, st.text(max_size=30)), max_size=40)


@pytest.mark.parametrize(
    "path", ["any.md", "any.mdx", "any.rst", "any.txt", "any.adoc", "any.html"]
)
@settings(deadline=None)
@given(lines=ANY_LINES)
def test_any_lines_are_in_a_snippet_or_counted(path: str, lines: list[str]) -> None:
    text = "\n".join(lines)
    reading = read(path, text)
    assert reading.lines == len(lines_of(text))
    assert reading.kept + sum(reading.left_out.values()) == reading.lines


@settings(deadline=None)
@given(
    lines=st.lists(st.one_of(LINES, st.sampled_from(["{}", "  {}", "    {}", "## {}", "- {}"]))),
    path=st.sampled_from(["any.md", "any.mdx", "any.rst", "any.adoc"]),
)
def test_lines_that_are_in_no_snippet_are_counted(lines: list[str], path: str) -> None:
    """Plain lines among odd ones carry a word of their own each, so a missing line is seen."""
    marked = [line.format(f"mark{n}x") if "{}" in line else line for n, line in enumerate(lines)]
    reading = read(path, "\n".join(marked))
    shown = " ".join(f"{each.title} {each.text}" for each in reading.snippets)
    marks = [f"mark{n}x" for n, line in enumerate(lines) if "{}" in line]
    assert len([mark for mark in marks if mark not in shown]) <= sum(reading.left_out.values())
