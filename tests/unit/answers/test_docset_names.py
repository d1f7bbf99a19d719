"""Entries of docsets in front of a list: its other text stays byte for byte."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.answers.docset_names import HeldLibrary, is_local, with_held
from context7_fabric.models import Answer, Outcome, Tier
from context7_fabric.parsing.libraries import Library, format_entry, format_list, parse_list

PLAIN = Library("/acme/gears", "Gears", "Held.", 4, "Unknown", None, None, ("2.1",), None, "")
OURS = replace(PLAIN, text=format_entry(PLAIN))
HELD = HeldLibrary(OURS, frozenset({"/acme/gears", "/websites/gears"}), is_private=False)

names = st.text("abcxyz -:", min_size=1, max_size=12).map(lambda text: f"a{text}".strip())
entries = st.builds(
    Library,
    id=st.from_regex(r"/[a-z]{1,5}/[a-z]{1,5}", fullmatch=True),
    title=names,
    description=names,
    snippets=st.integers(0, 999) | st.none(),
    reputation=st.sampled_from(["High", "Low", "Unknown"]),
    trust_score=st.none(),
    benchmark=st.none(),
    versions=st.just(()),
    source=st.none(),
    text=st.just(""),
)


def answer(text: str, outcome: Outcome = Outcome.MISS) -> Answer:
    return Answer(text, outcome, Tier.UPSTREAM, note="A note.")


@given(st.lists(entries, min_size=1, max_size=4))
def test_with_held_puts_one_entry_in_front_and_leaves_the_rest(listed: list[Library]) -> None:
    text = format_list(listed)
    found = with_held(answer(text), [HELD])
    whole = parse_list(found.text)
    assert whole is not None
    assert [each.id for each in whole.libraries] == ["/acme/gears", *(each.id for each in listed)]
    assert found.text.replace(f"{whole.libraries[0].text}\n----------\n", "", 1) == text
    assert (found.note or "").endswith("A note.")


def test_with_held_of_an_older_list_has_its_constant_lines_alone() -> None:
    text = "Available Libraries:\n\n- Title: W\n- Context7-compatible library ID: /w/w"
    whole = parse_list(with_held(answer(text), [HELD]).text)
    assert whole is not None
    assert [each.id for each in whole.libraries] == ["/acme/gears", "/w/w"]


def test_with_held_of_a_text_in_an_unknown_form_adds_a_note_alone() -> None:
    whole = answer("## Libraries of tomorrow\n\n* /w/w")
    found = with_held(whole, [HELD])
    assert found.text == whole.text
    assert (found.note or "").startswith("/acme/gears: its documentation is held here.")


@pytest.mark.parametrize("listed", ["/acme/gears", "/websites/gears", "/Acme/Gears"])
def test_with_held_of_a_list_that_has_the_library_changes_nothing(listed: str) -> None:
    whole = answer(format_list([replace(PLAIN, id=listed)]))
    assert with_held(whole, [HELD]) is whole


@pytest.mark.parametrize(
    ("outcome", "stated"),
    [
        (Outcome.NEGATIVE, Outcome.HIT),
        (Outcome.ERROR, Outcome.OFFLINE),
        (Outcome.SUGGESTION, Outcome.OFFLINE),
    ],
)
def test_with_held_of_no_list_stands_alone_with_the_reason(
    outcome: Outcome, stated: Outcome
) -> None:
    failed = replace(answer("Gone with the wind.", outcome), note=None)
    found = with_held(failed, [HELD])
    assert (found.outcome, found.tier, found.library_id) == (stated, Tier.DOCSET, "/acme/gears")
    assert "Gone with the wind." in (found.note or "")
    assert parse_list(found.text) is not None


@pytest.mark.parametrize(
    ("library", "local"),
    [
        ("/local/x", True),
        (" /LOCAL/x/1.0", True),
        ("local/x", True),
        ("//local", True),
        ("/localhost/x", False),
        ("/org/local", False),
        ("local", False),
        ("locals", False),
    ],
)
def test_is_local_reads_complete_and_incomplete_ids(library: str, local: bool) -> None:
    assert is_local(library) is local
