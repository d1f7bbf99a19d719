"""Purged lines: what holds one is left out, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.docsets.models import DocSnippet
from context7_fabric.docsets.purged import MOST_PURGED, digests_of, kept, without_purged

texts = st.lists(st.sampled_from(["one", "two", "secret", "a secret word", ""])).map("\n".join)
snippets = st.builds(DocSnippet, title=texts.map(lambda text: text[:9]), text=texts, path=texts)


def holds(text: str) -> bool:
    return "secret" in text


@given(st.lists(snippets), st.lists(snippets))
def test_without_purged_leaves_out_no_snippet_without_the_text(
    before: list[DocSnippet], after: list[DocSnippet]
) -> None:
    purged = [digest for each in before if holds(each.whole) for digest in digests_of(each, holds)]
    left = without_purged(after, purged)
    assert [each for each in after if not holds(each.whole)] == [
        each for each in left if not holds(each.whole)
    ]
    assert not [each for each in left if each in before and holds(each.whole)]


def test_digests_of_a_text_over_two_lines_are_of_the_whole_snippet() -> None:
    snippet = DocSnippet("Title", "one\ntwo", "a.md")
    (digest,) = digests_of(snippet, lambda text: "one\ntwo" in text)
    assert without_purged([snippet], [digest]) == []
    assert without_purged([DocSnippet("Title", "one\ntwo\n3", "a.md")], [digest]) != []


def test_kept_has_the_newest_digests_each_once() -> None:
    many = [f"{number:016}" for number in range(MOST_PURGED)]
    assert kept(many, ["new", "new"]) == (*many[1:], "new")
