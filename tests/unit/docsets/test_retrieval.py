"""Ranking, pages and confidence over an index in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context7_fabric.docsets.confidence import RULE, THRESHOLD, Evidence
from context7_fabric.docsets.index import memory_index
from context7_fabric.docsets.models import DocSnippet
from context7_fabric.docsets.page import MOST_TOKENS, estimated_tokens
from context7_fabric.parsing.snippets import parse_snippets

FILLING = "Rope, chain and cable hold what floats, whatever the weather brings. " * 12


def snippets(count: int = 40) -> list[DocSnippet]:
    """Return snippets that all mention an anchor; each says something else."""
    return [
        DocSnippet(
            f"Guide > Part {number}", f"anchor {number} {FILLING}{number}", f"part{number}.md"
        )
        for number in range(count)
    ]


def test_page_puts_the_definition_before_mentions() -> None:
    mentions = [replace(each, text=f"`dropAnchor` {each.text}") for each in snippets()]
    definition = DocSnippet("API > dropAnchor", "Lowers it.", "api.md", names=("dropAnchor",))
    found = memory_index([*mentions, definition]).retrieve("dropAnchor")
    assert found.page().snippets[0] == definition


def test_page_covers_each_subtopic_of_a_question() -> None:
    others = [replace(each, text=f"anchor anchor {each.text}") for each in snippets()]
    radio = DocSnippet("Radio > Channels", "The radio has channel 16.", "radio.md")
    page = memory_index([*others, radio]).retrieve("anchor radio channel").page()
    assert radio in page.snippets


def test_page_of_common_words_begins_with_the_opening_of_a_document() -> None:
    deep = [
        replace(each, path="guide.md", title=f"Guide > Deep > Deeper > {number}")
        for number, each in enumerate(snippets())
    ]
    opening = DocSnippet("Anchor", "An anchor holds a ship.", "index.md")
    found = memory_index([*deep, opening]).retrieve("anchor")
    assert found.page().snippets[0] == opening


def test_page_puts_changelogs_last() -> None:
    old = DocSnippet("Anchor", "The anchor is red.", "changelog.md")
    new = DocSnippet("Anchor", "The anchor is blue.", "anchor.md")
    assert memory_index([old, new]).retrieve("anchor").page().snippets == (new, old)


def test_page_keeps_one_text_under_several_headings() -> None:
    codes = [DocSnippet(f"Anchor > Error {n}", "Weigh anchor.", "errors.md") for n in (404, 500)]
    assert len(memory_index(codes).retrieve("anchor").page().snippets) == 2


def test_page_leaves_the_same_text_out() -> None:
    one = DocSnippet("Anchor", FILLING + "\nanchor", "readme.md")
    other = replace(one, path="guide.md")
    assert len(memory_index([one, other]).retrieve("anchor").page().snippets) == 1


def test_page_ends_when_the_words_are_covered_unless_a_length_is_asked_for() -> None:
    anchor = DocSnippet("Anchor > Weight", "anchor weight. " + FILLING * 12, "anchor.md")
    found = memory_index([anchor, *snippets()]).retrieve("anchor weight")
    assert found.page().snippets == (anchor,)
    assert found.page(MOST_TOKENS).tokens > 0.8 * MOST_TOKENS


@pytest.mark.parametrize("most", [600, 1700, 5000])
def test_page_is_at_most_as_long_as_asked(most: int) -> None:
    page = memory_index(snippets()).retrieve("anchor").page(most)
    assert estimated_tokens(page.text) <= page.tokens <= most


COUNTED = {
    "The server keeps each answer until its time is over. If the source cannot be reached, it gives"
    " the last one it has, and says how old that is.": 33,
    '```python\ndef read(path: Path) -> list[str]:\n    with path.open(encoding="utf-8") as file:\n'
    "        return [line.strip() for line in file]\n```\n": 40,
    "| Option | Default | Meaning |\n|--------|---------|---------|\n"
    "| `--port` | 8080 | Port that is listened on |\n": 30,
    r"where $\mathbf{A}$ is an $M\times N$ matrix and $\mathbf{x}^{H}\mathbf{Ax}\geq0$ for all"
    r" $\mathbf{x}$": 36,
    "`rolldownOptions.output.advancedChunks` replaces `rollupOptions.output.manualChunks`, see"
    " /guide/migration#oxc-minify": 29,
    "In 2024, 1048576 bytes took 12.75 s; 3.11.7 needs 0.0625 s, 65,536 of them 4096.": 41,
}
"""Texts with their tokens as o200k counts them."""


@pytest.mark.parametrize("text", COUNTED)
def test_estimated_tokens_are_at_most_a_sixth_above_the_count_and_never_below(text: str) -> None:
    assert COUNTED[text] <= estimated_tokens(text) <= COUNTED[text] * 7 / 6


def test_pages_repeat_no_snippet_and_end() -> None:
    found = memory_index(snippets()).retrieve("anchor")
    pages = [found.page(2000, number).snippets for number in range(1, 12)]
    shown = [each.path for page in pages for each in page]
    assert len(shown) == len(set(shown)) == 40
    assert found.page(2000, 12).text == ""


def test_page_of_one_kind_holds_no_other() -> None:
    code = DocSnippet("Anchor", "```\nanchor()\n```", "code.md", kind="code")
    found = memory_index([*snippets(), code]).retrieve("anchor")
    assert found.page(mode="code").snippets == (code,)
    assert code not in found.page(mode="info").snippets


def test_page_with_addresses_is_read_as_snippets() -> None:
    index = memory_index([replace(each, anchor="here") for each in snippets(3)])
    index.docset = replace(index.docset, address="https://example.org/{path}")
    parsed = parse_snippets(index.retrieve("anchor").page().text)
    assert {each.source for each in parsed} == {
        f"https://example.org/part{number}.md#here" for number in range(3)
    }


def test_source_of_an_address_keeps_braces_of_other_names_as_text() -> None:
    index = memory_index([DocSnippet("A", "anchor", "a b.md")])
    index.docset = replace(index.docset, address="https://example.org/{0.__class__}/{path}")
    page = index.retrieve("anchor").page()
    assert "Source: https://example.org/{0.__class__}/a%20b.md" in page.text


def test_considered_names_the_words_that_each_holds() -> None:
    first = memory_index(snippets()).retrieve("anchor missing").considered[0]
    assert first.words == ("anchor",)
    assert first.score == 1


def test_confidence_falls_with_words_that_the_docset_lacks() -> None:
    index = memory_index(snippets())
    known, half, foreign = (
        index.retrieve(each).confidence
        for each in ("anchor chain cable", "anchor kubernetes ingress", "kubernetes ingress helm")
    )
    assert known > THRESHOLD > half >= foreign == 0


def test_confidence_is_greater_where_the_subject_is_explained_than_where_it_is_mentioned() -> None:
    mention = DocSnippet("Ropes", f"{FILLING * 3} mooring buoy", "ropes.md")
    explained = DocSnippet("Ropes", f"mooring buoy mooring buoy {FILLING}", "ropes.md")
    confidences = [
        memory_index([*snippets(), each]).retrieve("mooring buoy").confidence
        for each in (mention, explained)
    ]
    assert confidences[0] < confidences[1]


def test_confidence_falls_where_a_name_is_missing() -> None:
    index = memory_index(snippets())
    assert index.retrieve("anchor XCTest").evidence.named == 0
    assert index.retrieve("anchor").evidence.named == 1


def test_confidence_counts_no_word_that_names_the_library() -> None:
    index = memory_index(snippets())
    index.docset = replace(index.docset, id="/sea/anchor")
    assert index.retrieve("anchor").confidence == 0


shares = st.floats(0, 1)
evidence = st.builds(Evidence, shares, shares, shares, st.integers(1, 32), shares, shares, shares)


@given(
    evidence,
    st.sampled_from(["held", "counted", "headed", "strength", "named", "gathered"]),
    st.floats(0.01, 1),
)
def test_confidence_never_falls_when_more_is_held(less: Evidence, sign: str, by: float) -> None:
    more = replace(less, **{sign: getattr(less, sign) + by})
    assert 0 <= RULE.confidence(less) <= RULE.confidence(more) <= 1 or not less.held


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=200), max_size=8), st.text(max_size=60))
def test_page_of_any_texts_holds_only_them(texts: list[str], question: str) -> None:
    given_snippets = [DocSnippet(f"T{n}", each, f"{n}.md") for n, each in enumerate(texts)]
    page = memory_index(given_snippets).retrieve(question).page()
    assert set(page.snippets) <= set(given_snippets)
