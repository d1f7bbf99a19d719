"""Sections cut and joined, and near-duplicates."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context7_fabric.docsets.models import DocSnippet
from context7_fabric.docsets.reading.sections import Bounds, near_duplicates
from support.reading_documents import only, read

SENTENCE = "This sentence has fifty characters, blank included. "
PARAGRAPH = (SENTENCE * 8).strip()


def test_long_section_is_cut_at_paragraphs() -> None:
    paragraphs = [f"{n}. {PARAGRAPH}" for n in "abcdefgh"]
    texts = [each.text for each in read("# T\n\n" + "\n\n".join(paragraphs)).snippets]
    assert [len(text.split("\n\n")) for text in texts] == [3, 3, 2]
    assert "\n\n".join(texts).split("\n\n") == paragraphs


def test_long_paragraph_is_cut_at_sentences() -> None:
    texts = [each.text for each in read("# T\n\n" + SENTENCE * 100).snippets]
    assert all(300 <= len(text) <= 1_500 and text.endswith("included.") for text in texts)


def test_long_table_repeats_its_head() -> None:
    rows = "\n".join(f"| name{n} | {'meaning ' * 8}|" for n in range(60))
    texts = [each.text for each in read(f"# T\n\n| a | b |\n|---|---|\n{rows}").snippets]
    assert len(texts) > 2
    assert all(text.startswith("| a | b |\n|---|---|\n| name") for text in texts)


def test_code_is_whole_up_to_its_bound() -> None:
    code = "\n".join(f"line {n}" for n in range(600))
    assert only(read(f"# T\n\n```\n{code}\n```")).text == f"```\n{code}\n```"


def test_code_beyond_its_bound_is_cut_at_lines_into_fences() -> None:
    code = "\n".join(f"line {n}" for n in range(2_000))
    texts = [each.text for each in read(f"# T\n\n```js\n{code}\n```").snippets]
    assert len(texts) > 1
    assert all(text.startswith("```js\nline ") and text.endswith("\n```") for text in texts)


def test_code_goes_with_the_line_that_introduces_it() -> None:
    code = "\n".join(["x = 1"] * 160)
    snippets = read(f"# T\n\n{PARAGRAPH}\n\n{PARAGRAPH}\n\nRun it:\n\n```py\n{code}\n```").snippets
    assert [each.text.startswith("Run it:") for each in snippets] == [False, True]


def test_short_sections_are_joined_with_their_headings() -> None:
    snippet = only(read("# Doc\n\nIntro.\n\n## One\n\nFirst.\n\n## Two\n\nSecond.\n"))
    assert snippet.title == "Doc > One / Two"
    assert snippet.text == "Intro.\n\n#### One\n\nFirst.\n\n#### Two\n\nSecond."
    assert snippet.anchor == "doc"


def test_short_section_at_the_end_is_joined_with_the_one_before() -> None:
    snippet = only(read(f"# Doc\n\n{PARAGRAPH}\n\n## End\n\nShort."))
    assert snippet.text == f"{PARAGRAPH}\n\n#### End\n\nShort."


def test_short_section_is_joined_with_its_sibling_and_not_across_their_parent() -> None:
    parts = ["# Doc", "## A", PARAGRAPH, "### A1", PARAGRAPH, "### A2", "Short.", "## B", PARAGRAPH]
    titles = [each.title for each in read("\n\n".join(parts)).snippets]
    assert titles == ["Doc > A", "Doc > A > A1 / A2", "Doc > B"]


def test_heading_without_text_is_in_the_path_of_the_next() -> None:
    assert only(read("# Doc\n\n## Part\n\n### Deep\n\nText.")).title == "Doc > Part > Deep"


def test_bounds_are_arguments() -> None:
    text = "\n\n".join(f"## H{n}\n\nText of {n}." for n in range(4))
    assert len(read(text).snippets) == 1
    assert len(read(text, bounds=Bounds(least=0)).snippets) == 4


SECTIONS = st.lists(
    st.tuples(st.sampled_from(["# ", "## ", "### "]), st.integers(0, 60)), max_size=12
)


@settings(deadline=None)
@given(sections=SECTIONS)
def test_any_sections_stay_within_the_bounds_and_lose_no_word(
    sections: list[tuple[str, int]],
) -> None:
    texts = [
        f"{mark}h{n}\n\n{' '.join(f'w{n}x{i}.' for i in range(size))}"
        for n, (mark, size) in enumerate(sections)
    ]
    snippets = read("\n\n".join(texts), bounds=Bounds(least=60, most=200)).snippets
    shown = " ".join(f"{each.title} {each.text}" for each in snippets).split()
    words = [f"w{n}x{i}." for n, (_, size) in enumerate(sections) for i in range(size)]
    assert [word for word in shown if word.startswith("w")] == words
    assert {f"h{n}" for n in range(len(sections))} <= set(shown)
    assert all(len(each.text) <= 200 + 150 for each in snippets)


def snippet(text: str) -> DocSnippet:
    return DocSnippet("T", text, "a.md")


def test_near_duplicates_are_the_later_ones_that_nearly_repeat_an_earlier_one() -> None:
    text = " ".join(f"word{n}" for n in range(100))
    other = " ".join(f"other{n}" for n in range(100))
    changed = text.replace("word50", "changed")
    assert near_duplicates([snippet(text), snippet(other), snippet(changed)]) == [2]


def test_near_duplicates_of_short_snippets_with_other_numbers_are_none() -> None:
    text = " ".join(f"word{'x' * n}" for n in range(60))
    entries = [text.replace("wordxxx ", f"{code} ") for code in (404, 500, 404)]
    assert near_duplicates([snippet(each) for each in entries]) == [2]


def test_near_duplicates_of_short_and_of_different_snippets_are_none() -> None:
    halves = [" ".join(f"w{n}" for n in range(start, start + 60)) for start in (0, 30, 60)]
    assert near_duplicates([snippet(each) for each in ("a", "b", "a b", *halves)]) == []


@pytest.mark.parametrize(
    "heading", ["gizmo " * 3000, "x" * 30_000, "gizmo {#" + "y" * 30_000 + "}"]
)
def test_long_heading_leaves_a_short_anchor(heading: str) -> None:
    reading = read(f"# {heading}\n\nText of the section.\n")
    assert reading.snippets
    assert all(len(each.anchor) <= 200 for each in reading.snippets)
