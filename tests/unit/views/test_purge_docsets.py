"""Purge of docsets: of a library, of a version, of the snippets with a text."""

from collections.abc import Callable
from pathlib import Path

import pytest

from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.models import Viewer
from context7_fabric.parsing.ids import parse_id
from context7_fabric.settings.values import DocsetSettings
from context7_fabric.views.purge import DocsetPurge, PurgedDocset
from support.held_docsets import GEARS, place_docset


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with two versions of one library, and another's private docset."""
    place_docset(tmp_path, version="1.0", also=("/websites/gears",))
    place_docset(tmp_path, version="2.0")
    place_docset(tmp_path, "/local/notes", owner="alice", fetched=True)
    return tmp_path


def library_in(home: Path) -> DocsetLibrary:
    return DocsetLibrary(home / "docsets", DocsetSettings())


def names(home: Path) -> list[str]:
    return [docset.name for docset in library_in(home).of_all_owners()]


@pytest.mark.parametrize(
    ("library", "gone"),
    [
        (GEARS, ["1.0", "2.0"]),
        (f"{GEARS}/2.0", ["2.0"]),
        (GEARS.upper(), ["1.0", "2.0"]),
        (f"{GEARS}/v2.0", ["2.0"]),
        ("/acme/gear", []),
    ],
)
def test_library_when_purged_loses_its_docsets(home: Path, library: str, gone: list[str]) -> None:
    purged = DocsetPurge(library_in(home)).library(parse_id(library))  # type: ignore[arg-type]
    assert [each.name for each in purged] == [f"{GEARS}@{version}" for version in gone]
    assert all(each.is_gone for each in purged)
    left = [f"{GEARS}@{each}" for each in ("1.0", "2.0") if each not in gone]
    assert names(home) == [*left, "/local/notes"]


@pytest.mark.parametrize("library", ["/websites/gears", "/Websites/Gears/1.0"])
def test_library_that_a_docset_names_beside_its_own_is_left_and_named(
    home: Path, library: str
) -> None:
    purge, other = DocsetPurge(library_in(home)), parse_id(library)
    assert other is not None
    assert purge.library(other) == []
    (kept,) = purge.named_beside(other)
    assert kept.name == f"{GEARS}@1.0"
    assert kept.summary == (
        f"the docset {GEARS}@1.0 also answers for /websites/gears and is kept;"
        f" `context7-fabric remove {GEARS}@1.0` removes it"
    )
    assert len(names(home)) == 3


def test_library_of_its_own_and_of_another_version_is_named_beside_none(home: Path) -> None:
    purge = DocsetPurge(library_in(home))
    for library in (GEARS, "/websites/gears/2.0", "/acme/other"):
        assert purge.named_beside(parse_id(library)) == []  # type: ignore[arg-type]


def test_matching_when_purged_leaves_the_other_snippets(home: Path) -> None:
    purged = DocsetPurge(library_in(home)).matching("  BACKLASH compensation ")
    assert [each.snippets for each in purged] == [1, 1, 1]
    library = library_in(home)
    for docset in library.of_all_owners():
        index = library.find(parse_id(docset.id), Viewer(owner="alice"))  # type: ignore[arg-type]
        assert index is not None
        texts = [each.text for each in index.snippets()]
        assert len(texts) == 3
        assert not any("Backlash compensation" in text for text in texts)
        assert index.docset.left_out["snippets: purged"] == 1
        assert not index.retrieve("backlash compensation").considered
    assert DocsetPurge(library).matching("backlash compensation") == []


def test_matching_of_every_snippet_removes_the_docset(tmp_path: Path) -> None:
    place_docset(tmp_path, documents={"a.md": "# Secret\n\nThe word is swordfish.\n"})
    (purged,) = DocsetPurge(library_in(tmp_path)).matching("swordfish")
    assert purged.is_gone
    assert purged.summary == (
        f"the docset {GEARS} is removed;"
        f" `context7-fabric add /nowhere/docs --id {GEARS}` adds it again"
    )
    assert names(tmp_path) == []


def test_purge_that_counts_only_returns_the_same_and_removes_nothing(home: Path) -> None:
    before = names(home)
    gears = parse_id(GEARS)
    assert gears is not None
    ways: tuple[Callable[[DocsetPurge], list[PurgedDocset]], ...] = (
        lambda purge: purge.library(gears),
        lambda purge: purge.matching("backlash"),
        lambda purge: purge.fetched(),
    )
    for purge_of in ways:
        counted = purge_of(DocsetPurge(library_in(home), counts_only=True))
        assert names(home) == before
        assert counted
        if counted[0].is_gone:
            assert (
                counted[0].prospect
                == f"the docset {counted[0].name} ({counted[0].snippets} snippets)"
            )
        else:
            assert counted[0].prospect == f"1 snippet of the docset {GEARS}@1.0"
            assert purge_of(DocsetPurge(library_in(home))) == counted


def test_matching_of_a_blank_text_removes_nothing(home: Path) -> None:
    assert DocsetPurge(library_in(home)).matching(" \n") == []
    assert len(names(home)) == 3


def test_fetched_when_purged_leaves_what_a_person_added(home: Path) -> None:
    (purged,) = DocsetPurge(library_in(home)).fetched()
    assert purged.name == "/local/notes"
    assert names(home) == [f"{GEARS}@1.0", f"{GEARS}@2.0"]


def test_reader_of_a_purged_docset_finishes(home: Path) -> None:
    library = library_in(home)
    index = library.find(parse_id(f"{GEARS}/1.0"), Viewer())  # type: ignore[arg-type]
    assert index is not None
    DocsetPurge(library_in(home)).matching("backlash")
    assert index.retrieve("backlash").considered
