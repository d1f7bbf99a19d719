from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.parsing.libraries import (
    Library,
    format_entry,
    format_list,
    list_start,
    parse_list,
)
from unit.parsing.texts import (
    ENTRY,
    EXPLANATION,
    FILTER_NOTE,
    LIST,
    PLAIN_ENTRY,
    README,
    TRUST_ENTRY,
    shared,
)

HARBOUR = Library(
    id="/quay/harbour",
    title="Harbour",
    description="Runs a small harbour: berths, tides and lights.",
    snippets=412,
    reputation="High",
    trust_score=None,
    benchmark=86.3,
    versions=("v2.1.0", "v1.9.4"),
    source="https://harbour.example",
    text=ENTRY,
)
LIGHTS = Library(
    id="/quay/lights",
    title="Harbour Lights",
    description="Lights only.",
    snippets=None,
    reputation="Unknown",
    trust_score=None,
    benchmark=None,
    versions=(),
    source=None,
    text=PLAIN_ENTRY,
)


def libraries(text: str) -> tuple[Library, ...]:
    found = parse_list(text)
    assert found is not None
    return found.libraries


def test_a_list_is_read_entry_by_entry() -> None:
    found = parse_list(LIST)
    assert found is not None
    assert found.preamble == "Available Libraries:\n\n"
    assert found.note is None
    assert found.libraries == (HARBOUR, LIGHTS)


def test_a_note_about_a_filter_is_kept_apart() -> None:
    found = parse_list(f"Available Libraries:\n\n{FILTER_NOTE}\n\n{ENTRY}")
    assert found is not None
    assert (found.preamble, found.note) == ("Available Libraries:\n\n", FILTER_NOTE)
    assert found.libraries == (HARBOUR,)


@pytest.mark.parametrize("note", [None, FILTER_NOTE])
def test_the_long_explanation_of_older_servers_is_part_of_the_preamble(note: str | None) -> None:
    between = "" if note is None else f"{note}\n\n"
    found = parse_list(f"{EXPLANATION}{between}{TRUST_ENTRY}")
    assert found is not None
    assert (found.preamble, found.note) == (EXPLANATION, note)
    assert [(each.trust_score, each.reputation) for each in found.libraries] == [(7.5, None)]


def test_entries_alone_are_a_list() -> None:
    found = parse_list(f"\n{ENTRY}\n")
    assert found is not None
    assert (found.preamble, found.libraries) == ("", (HARBOUR,))


def test_the_optional_lines_may_all_be_missing() -> None:
    (library,) = libraries("- Title: X\n- Context7-compatible library ID: /a/x")
    assert (library.id, library.title, library.description) == ("/a/x", "X", "")
    assert (library.snippets, library.reputation, library.trust_score) == (None, None, None)
    assert (library.benchmark, library.versions, library.source) == (None, (), None)


def test_a_description_may_have_several_lines_and_look_like_fields() -> None:
    odd = "Does:\n- Source: of truth\n\n- Versions: many\n  of them"
    (library,) = libraries(ENTRY.replace(HARBOUR.description, odd))
    assert library == replace(HARBOUR, description=odd, text=library.text)


def test_an_id_with_a_version_is_spelled_the_canonical_way() -> None:
    (library,) = libraries(ENTRY.replace("/quay/harbour", "/quay/harbour@v2"))
    assert library.id == "/quay/harbour/v2"


def test_windows_line_ends_are_read_and_stay_in_the_text() -> None:
    sent = LIST.replace("\n", "\r\n")
    first, second = libraries(sent)
    assert first == replace(HARBOUR, text=ENTRY.replace("\n", "\r\n"))
    assert second == replace(LIGHTS, text=PLAIN_ENTRY.replace("\n", "\r\n"))


def test_the_parts_of_a_list_make_the_list_again() -> None:
    for sent in (LIST, f"{EXPLANATION}{FILTER_NOTE}\n\n{TRUST_ENTRY}"):
        found = parse_list(sent)
        assert found is not None
        note = "" if found.note is None else f"{found.note}\n\n"
        entries = "\n----------\n".join(library.text for library in found.libraries)
        assert f"{found.preamble}{note}{entries}" == sent


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Available Libraries:",
        "Available Libraries:\n\n",
        README,
        ENTRY.replace("- Title", "- Name"),
        ENTRY.replace("/quay/harbour", "quay/harbour"),
        ENTRY.replace("/quay/harbour", "/quay/har bour"),
        ENTRY.replace("- Context7-compatible library ID: /quay/harbour\n", ""),
        ENTRY.replace("- Description", "Description"),
        ENTRY.replace("412", "many"),
        ENTRY.replace("86.3", "good"),
        ENTRY.replace("High", "Very high"),
        LIST + "\n----------",
        LIST + "\n----------\nMonthly quota exceeded.",
        f"Quota exceeded.\n\n{LIST}",
        f"Available Libraries:\n\nQuota exceeded.\n\n{ENTRY}",
        f"{FILTER_NOTE}\n\n{ENTRY}",
        EXPLANATION.replace("----------", "") + ENTRY,
    ],
)
def test_what_is_not_wholly_a_list_is_none(text: str) -> None:
    assert parse_list(text) is None


@pytest.mark.parametrize("last", [ENTRY, PLAIN_ENTRY])
def test_a_list_cut_inside_its_last_entry_is_none(last: str) -> None:
    whole = f"Available Libraries:\n\n{PLAIN_ENTRY}\n----------\n{last}"
    needed = whole.rindex("- Source Reputation: ")
    for end in range(len(whole) - len(last), needed + len("- Source Reputation: ")):
        assert parse_list(whole[:end]) is None, whole[:end]


@pytest.mark.parametrize(
    ("score", "printed"), [(77.0, "77"), (86.30, "86.3"), (87.84, "87.84"), (100, "100")]
)
def test_a_number_is_printed_as_javascript_prints_it(score: float, printed: str) -> None:
    assert f"- Benchmark Score: {printed}" in format_entry(replace(LIGHTS, benchmark=score))


@pytest.mark.parametrize(
    ("trust", "reputation"),
    [(10, "High"), (7, "High"), (6.9, "Medium"), (4, "Medium"), (0, "Low"), (-1, "Unknown")],
)
def test_a_trust_score_is_printed_as_a_reputation(trust: float, reputation: str) -> None:
    library = replace(LIGHTS, trust_score=trust, reputation=None)
    assert format_entry(library).endswith(f"- Source Reputation: {reputation}")


def test_a_reputation_that_nothing_is_known_of_is_printed_as_unknown() -> None:
    assert format_entry(replace(LIGHTS, reputation=None)) == PLAIN_ENTRY


def test_an_unknown_count_of_snippets_and_a_score_of_nought_are_left_out() -> None:
    assert format_entry(replace(LIGHTS, snippets=-1, benchmark=0.0)) == PLAIN_ENTRY
    assert "- Code Snippets: 0" in format_entry(replace(LIGHTS, snippets=0))


def test_a_list_is_written_as_the_server_writes_it() -> None:
    assert format_list([HARBOUR, LIGHTS]) == LIST


LINE = st.text(st.sampled_from("aB-: /.,é港*#"), min_size=1, max_size=9).map(str.strip)
TITLED = LINE.filter(bool)
LIBRARIES = st.builds(
    Library,
    id=st.sampled_from(["/quay/harbour", "/quay/harbour/v2", "/a/next.js", "/@a/b_c"]),
    title=TITLED,
    description=LINE,
    snippets=st.none() | st.integers(0, 10**6),
    reputation=st.sampled_from(["High", "Medium", "Low", "Unknown"]),
    trust_score=st.none(),
    benchmark=st.none() | st.floats(0.01, 100).map(lambda score: round(score, 2)),
    versions=st.lists(st.sampled_from(["v1", "2.0-rc.1", "__branch__x"])).map(tuple),
    source=st.none() | TITLED,
    text=st.just(""),
)


@given(st.lists(LIBRARIES, min_size=1, max_size=4))
def test_what_is_written_reads_as_what_it_was(written: list[Library]) -> None:
    found = libraries(format_list(written))
    assert [replace(library, text="") for library in found] == written
    assert [library.text for library in found] == [format_entry(library) for library in written]


@given(st.text())
def test_random_text_is_no_list(text: str) -> None:
    assert parse_list(text) is None


@pytest.mark.parametrize(
    ("text", "line"),
    [(LIST, 0), (f"Hello.\n\n{LIST}", 2), (f"Hello.\n{ENTRY}", 1), (README, None), ("", None)],
)
def test_the_start_of_a_list_is_found_behind_other_text(text: str, line: int | None) -> None:
    assert list_start(text.split("\n")) == line


def test_recorded_lists_are_read_and_written_the_same() -> None:
    recorded = shared("upstream/samples/resolve_entries.txt").read_text(encoding="utf-8")
    groups = [group.strip() for group in re.split(r"(?m)^#.*\n", recorded) if group.strip()]
    assert len(groups) > 5
    for group in groups:
        found = libraries(f"Available Libraries:\n\n{group}")
        assert len(found) == group.count("- Title: ")
        if "Trust Score" not in group:
            assert format_list(found) == f"Available Libraries:\n\n{group}"
