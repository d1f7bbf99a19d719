"""The docsets of a home: found, added, replaced, refreshed, removed, damaged."""

from __future__ import annotations

import logging
import os
import resource
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from context7_fabric.docsets import index as file_format
from context7_fabric.docsets.index import DocsetIndex, write_docset
from context7_fabric.docsets.ingestion import request_again
from context7_fabric.docsets.library import DocsetLibrary, shared_ids
from context7_fabric.docsets.models import Docset
from context7_fabric.docsets.opened import LOOK_SECONDS
from context7_fabric.errors import (
    DamagedDocset,
    DocsetNotWritten,
    DocsetsFull,
    DocsetSourceError,
    EmptyDocset,
    UnknownDocset,
)
from context7_fabric.models import Viewer
from context7_fabric.parsing.ids import parse_id
from support.docsets import PAGES, QUAY, QUIET, add, library_in, write_pages

ANYONE = Viewer()
CHANGED = {"index.md": "# Quay\n\nQuay has docks now.\n\n## Docks\n\nUse `dock(ship)`.\n"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def library(home: Path) -> DocsetLibrary:
    return library_in(home)


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "pages")


def found(library: DocsetLibrary, text: str, *also: str) -> str | None:
    """The name of the docset that answers for an id."""
    asked = parse_id(text)
    assert asked is not None
    index = library.find(asked, ANYONE, also)
    return None if index is None else index.docset.name


def opened(library: DocsetLibrary) -> DocsetIndex:
    asked = parse_id(QUAY)
    assert asked is not None
    index = library.find(asked, ANYONE)
    assert index is not None
    return index


def titles(index: DocsetIndex) -> set[str]:
    return {each.title for each in index.snippets()}


def docset_files(home: Path) -> list[Path]:
    return sorted((home / "docsets").glob("*.sqlite"))


def test_add_of_a_folder_is_found_with_its_facts(library: DocsetLibrary, pages: Path) -> None:
    change = add(library, pages, version="1.2", also=("/websites/quay",))
    assert library.all(ANYONE) == [change.docset]
    assert change.docset == Docset(
        id=QUAY,
        version="1.2",
        source=str(pages),
        revision=change.docset.revision,
        added_at=1e9,
        checked_at=1e9,
        filed_at=1e9,
        also=("/websites/quay",),
        files=2,
        snippets=change.docset.snippets,
        characters=change.docset.characters,
        left_out=change.docset.left_out,
    )
    assert change.docset.snippets >= 2


@pytest.mark.parametrize(
    ("asked", "also", "expected"),
    [
        (QUAY, (), "/harbour/quay@1.2"),
        ("/harbour/quay/1.2", (), "/harbour/quay@1.2"),
        ("/harbour/quay/1.3", (), None),
        ("/Harbour/Quay", (), "/harbour/quay@1.2"),
        ("/websites/quay", (), "/harbour/quay@1.2"),
        ("/old/name", (), None),
        ("/old/name", (QUAY,), "/harbour/quay@1.2"),
    ],
)
def test_find_answers_for_every_id_of_a_docset_and_its_version(
    library: DocsetLibrary, pages: Path, asked: str, also: tuple[str, ...], expected: str | None
) -> None:
    add(library, pages, version="1.2", also=("/websites/quay",))
    assert found(library, asked, *also) == expected


def test_find_prefers_the_docset_of_the_id_to_one_that_has_it_as_another(
    library: DocsetLibrary, pages: Path
) -> None:
    add(library, pages, "/a/mirror", also=(QUAY,))
    add(library, pages, QUAY, version="1.2")
    assert found(library, QUAY) == f"{QUAY}@1.2"
    assert found(library, f"{QUAY}/1.3") is None
    assert found(library, "/old/name", "/a/mirror", QUAY) == "/a/mirror"


def test_find_of_an_id_that_several_give_beside_their_own_is_of_the_one_added_last(
    home: Path, pages: Path
) -> None:
    now = [1e9]
    library = library_in(home, clock=lambda: now[0])
    changes = []
    for docset_id in ("/b/second", "/c/third", "/a/first", "/b/second"):
        now[0] += 1
        changes.append(add(library, pages, docset_id, also=("/websites/quay",)))
    write_pages(pages, {"new.md": "# New\n\nA new page of the documentation.\n"})
    for docset in library.all(ANYONE):
        if docset.id != "/b/second":
            now[0] += 1
            assert library.refresh(docset, QUIET).is_new
    assert found(library, "/websites/quay") == "/b/second"
    assert list(shared_ids(changes[-1].docset, library.all(ANYONE))) == [
        f"{other} also answers for /websites/quay; this docset comes first, added last"
        for other in ("/a/first", "/c/third")
    ]


def test_shared_ids_name_a_docset_of_the_very_id(library: DocsetLibrary, pages: Path) -> None:
    mirror = add(library, pages, "/a/mirror", also=("/Harbour/Quay", "/w/quay")).docset
    versions = [add(library, pages, version=version).docset for version in ("1.0", "2.0")]
    assert list(shared_ids(mirror, [mirror, versions[0]])) == [
        f"/Harbour/Quay has a docset of its own, {QUAY}@1.0, which answers for it first"
    ]
    assert list(shared_ids(versions[0], [mirror, *versions])) == [
        f"/a/mirror also answers for {QUAY}; this docset comes first"
    ]


def test_nearest_lower_is_offered_for_a_version_that_no_docset_has(
    library: DocsetLibrary, pages: Path
) -> None:
    for version in ("1.2", "1.10", "3.0"):
        add(library, pages, version=version)
    asked = parse_id("/harbour/quay/2.0")
    assert asked is not None
    assert library.find(asked, ANYONE) is None
    lower = library.nearest_lower(asked, ANYONE)
    assert lower is not None
    assert lower.docset.version == "1.10"


def test_docsets_of_another_owner_are_neither_listed_nor_found(home: Path) -> None:
    library = library_in(home)
    facts = Docset(QUAY, None, "", "r", 0, 0, owner="ann")
    _place(home, facts)
    assert library.all(ANYONE) == []
    assert found(library, QUAY) is None
    assert [each.id for each in library.all(Viewer(owner="ann"))] == [QUAY]


def _place(home: Path, facts: Docset) -> Path:
    """Write a docset's file as another process would."""
    folder = library_in(home)._folder
    stem = "harbour-quay.0123456789abcdef"
    with folder.turn(stem, "", lambda _line: None) as work:
        write_docset(work / "new", facts, [])
        return folder.place(work / "new", stem, facts.revision, facts.checked_at)


def test_another_process_sees_a_docset_come_change_and_go_within_a_second(
    home: Path, pages: Path
) -> None:
    ticks = [0.0]
    here, there = library_in(home), library_in(home, ticks=lambda: ticks[0])

    def later() -> str | None:
        ticks[0] += LOOK_SECONDS
        return found(there, QUAY)

    assert found(there, QUAY) is None
    before = there.revision()
    change = add(here, pages)
    assert later() == QUAY
    assert there.revision() != before
    write_pages(pages, CHANGED)
    here.refresh(change.docset, QUIET)
    assert later() == QUAY
    assert "Quay > Docks" in titles(opened(there))
    here.remove(change.docset)
    assert later() is None
    assert LOOK_SECONDS < 1


def test_at_once_returns_the_docsets_until_a_look_is_due(home: Path, pages: Path) -> None:
    ticks = [0.0]
    there = library_in(home, ticks=lambda: ticks[0])
    add(library_in(home), pages)
    assert there.at_once(ANYONE) is None
    (docset,) = there.all(ANYONE)
    asked = parse_id(QUAY)
    assert asked is not None
    at_once = there.at_once(ANYONE)
    assert at_once is not None
    assert [each.docset for each in at_once] == [docset]
    assert there.find(asked, ANYONE, among=at_once) is at_once[0]
    ticks[0] += LOOK_SECONDS
    assert there.at_once(ANYONE) is None


def test_looks_are_no_more_frequent_than_their_pause(home: Path, pages: Path) -> None:
    there = library_in(home)
    assert found(there, QUAY) is None
    add(library_in(home), pages)
    assert found(there, QUAY) is None


@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_a_call_that_reads_a_docset_finishes(
    library: DocsetLibrary, pages: Path, change: str
) -> None:
    added = add(library, pages)
    index = opened(library)
    if change == "removed":
        library.remove(added.docset)
    else:
        write_pages(pages, CHANGED)
        library.refresh(added.docset, QUIET)
    assert index.retrieve("mooringLine").page(max_tokens=500).snippets[0].path == "mooring.md"


def test_add_again_replaces_the_docset_and_leaves_one_file(
    home: Path, library: DocsetLibrary, pages: Path
) -> None:
    add(library, pages)
    write_pages(pages, CHANGED)
    add(library, pages)
    assert "Quay > Docks" in titles(opened(library))
    assert len(docset_files(home)) == 1
    assert list((home / "docsets" / "work").iterdir()) == []


def test_add_of_an_id_in_another_case_is_filed_under_the_spelling_that_is_held(
    library: DocsetLibrary, pages: Path
) -> None:
    add(library, pages, "/Harbour/Quay", version="1.0")
    assert add(library, pages, version="2.0").docset.id == "/Harbour/Quay"
    assert add(library, pages, version="2.0").docset.name == "/Harbour/Quay@2.0"
    assert [each.name for each in library.all(ANYONE)] == ["/Harbour/Quay@1.0", "/Harbour/Quay@2.0"]


def test_files_and_folders_are_private(home: Path, library: DocsetLibrary, pages: Path) -> None:
    add(library, pages)
    paths = [home, home / "docsets", *(home / "docsets").rglob("*")]
    assert {oct(path.stat().st_mode & 0o077) for path in paths} == {"0o0"}


def test_refresh_of_an_unchanged_source_only_notes_the_time(home: Path, pages: Path) -> None:
    added = add(library_in(home, clock=lambda: 1e9), pages)
    (file,) = docset_files(home)
    content = file.read_bytes()
    library = library_in(home, clock=lambda: 2e9)
    change = library.refresh(added.docset, QUIET)
    assert not change.is_new
    assert change.docset == replace(added.docset, checked_at=2e9)
    assert docset_files(home) == [file]
    assert file.read_bytes() == content
    assert [each.checked_at for each in library.all(ANYONE)] == [2e9]
    assert [each.checked_at for each in library_in(home).all(ANYONE)] == [2e9]


def test_refresh_of_a_changed_source_reads_it_anew_and_keeps_the_ids(
    library: DocsetLibrary, pages: Path
) -> None:
    added = add(library, pages, also=("/websites/quay",))
    write_pages(pages, CHANGED)
    change = library.refresh(added.docset, QUIET)
    assert change.is_new
    assert change.docset.also == ("/websites/quay",)
    assert "Quay > Docks" in titles(opened(library))


def test_refresh_leaves_purged_lines_out_and_an_add_reads_them_again(
    library: DocsetLibrary, pages: Path
) -> None:
    secret = "Use the token swordfish here."
    write_pages(
        pages, {"key.md": f"# Key\n\n{secret}\n", "name.md": "# Ship\n\nA swordfish boat.\n"}
    )
    docset = add(library, pages).docset
    assert library.count(docset, lambda text: "token swordfish" in text) == 1
    assert library.leave_out(docset, lambda text: "token swordfish" in text) == 1
    assert library.leave_out(docset, lambda text: "no such text" in text) == 0
    write_pages(pages, {"key.md": f"# Another key\n\nNew words.\n\n  {secret}\n"})
    for text in ("An older page.", "A newer page."):
        write_pages(pages, {"page.md": f"# Page\n\n{text}\n"})
        refreshed = library.refresh(docset, QUIET)
        assert refreshed.is_new
        texts = [each.text for each in opened(library).snippets()]
        assert text in texts
        assert "A swordfish boat." in texts
        assert not any("token swordfish" in each for each in texts)
        assert refreshed.docset.left_out["snippets: purged"] == 1
        assert not any(secret in each for each in refreshed.docset.purged)
    again = add(library, pages).docset
    assert any(secret in each.text for each in opened(library).snippets())
    assert again.purged == ()


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_refresh_without_a_source_keeps_the_docset(
    home: Path, library: DocsetLibrary, pages: Path, left: str
) -> None:
    added = add(library, pages)
    for name in PAGES:
        (pages / name).unlink()
    if left == "nothing":
        pages.rmdir()
    with pytest.raises(DocsetSourceError):
        library.refresh(added.docset, QUIET)
    assert library_in(home).all(ANYONE) == [added.docset]


def test_refresh_of_a_removed_docset_names_it(library: DocsetLibrary, pages: Path) -> None:
    added = add(library, pages)
    library.remove(added.docset)
    with pytest.raises(UnknownDocset, match=QUAY):
        library.refresh(added.docset, QUIET)


def truncate(file: Path) -> None:
    os.truncate(file, 1000)


def overwrite(file: Path) -> None:
    file.write_bytes(b"no docset " * 1000)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def unindex(file: Path) -> None:
    file.chmod(0o600)
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("DELETE FROM words_data")


@pytest.mark.parametrize("damage", [truncate, overwrite, empty, unindex])
def test_remove_damaged_removes_the_file(
    home: Path, library: DocsetLibrary, pages: Path, damage: Callable[[Path], None]
) -> None:
    add(library, pages)
    (file,) = docset_files(home)
    damage(file)
    there = library_in(home)
    assert [each.path for each in there.damaged()] == [str(file)]
    assert there.remove_damaged(QUAY, "9.9") is False
    assert there.remove_damaged(QUAY, None) is True
    assert docset_files(home) == []
    assert list(there.damaged()) == []


@pytest.mark.parametrize("damage", [truncate, overwrite, empty, unindex])
def test_a_damaged_file_is_named_once_and_left_aside_until_it_is_added_again(
    home: Path,
    library: DocsetLibrary,
    pages: Path,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    add(library, pages)
    (file,) = docset_files(home)
    damage(file)
    ticks = [0.0]
    there = library_in(home, ticks=lambda: ticks[0])
    with caplog.at_level(logging.ERROR):
        assert found(there, "/harbour/other") is found(there, f"{QUAY}/2.0") is None
        assert [each.path for each in there.damaged()] == [str(file)]
        assert caplog.records == []
        for _look in range(3):
            ticks[0] += LOOK_SECONDS
            assert found(there, QUAY) is None
            assert [each.path for each in there.damaged()] == [str(file)]
            os.utime(home / "docsets")
    assert [str(file) in each.getMessage() for each in caplog.records] == [True]
    add(there, pages)
    assert found(there, QUAY) == QUAY
    assert there.damaged() == []
    assert not file.exists()


@pytest.mark.parametrize("left", [0, 1])
def test_a_limit_of_open_files_is_no_damage_and_passes(home: Path, pages: Path, left: int) -> None:
    ticks = [0.0]
    there = library_in(home, ticks=lambda: ticks[0])
    add(library_in(home), pages, "/harbour/first")
    add(library_in(home), pages)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.dup(0)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare + left, hard))
    try:
        assert len(there.all(ANYONE)) <= left
        assert there.damaged() == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    ticks[0] += LOOK_SECONDS
    assert len(there.all(ANYONE)) == 2


def test_damage_beside_an_older_whole_generation_serves_the_older_one(
    home: Path, library: DocsetLibrary, pages: Path
) -> None:
    add(library, pages)
    (file,) = docset_files(home)
    file.with_name(file.name.replace("000001", "000002")).write_bytes(b"x" * 9000)
    there = library_in(home)
    assert found(there, QUAY) == QUAY
    assert len(there.damaged()) == 1


def test_set_aside_of_a_docset_that_failed_leaves_it_out(
    library: DocsetLibrary, pages: Path
) -> None:
    add(library, pages)
    library.set_aside(opened(library), DamagedDocset("here", "a bad page"))
    assert found(library, QUAY) is None
    assert [each.reason for each in library.damaged()] == ["a bad page"]


def test_an_index_of_an_older_form_is_rebuilt_in_the_file_once(
    home: Path, pages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(file_format, "INDEX_FORM", 0)
        added = add(library_in(home), pages)
        before = docset_files(home)
    there = library_in(home)
    assert opened(there).retrieve("mooringLine").page().snippets
    assert library_in(home).all(ANYONE) == [added.docset]
    (after,) = docset_files(home)
    assert after not in before
    assert not opened(library_in(home)).is_outdated


def test_add_beyond_the_bound_of_all_docsets_is_refused(
    home: Path, library: DocsetLibrary, pages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(library, pages, "/harbour/first")
    monkeypatch.setattr("context7_fabric.docsets.library.TOTAL_BYTES", library.size() + 1000)
    with pytest.raises(DocsetsFull, match="--max-size"):
        add(library, pages)
    assert [each.id for each in library_in(home).all(ANYONE)] == ["/harbour/first"]
    larger = replace(request_again(library.all(ANYONE)[0]), id=QUAY, max_bytes=10**6)
    assert library.add(larger, QUIET).docset.id == QUAY


def test_add_of_a_source_without_text_that_is_read_is_refused(
    library: DocsetLibrary, tmp_path: Path
) -> None:
    write_pages(tmp_path / "thin", {"a.md": "---\ntitle: \n---\n"})
    with pytest.raises(EmptyDocset, match="thin"):
        add(library, tmp_path / "thin")


def test_add_where_nothing_can_be_written_names_the_docset(tmp_path: Path, pages: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(DocsetNotWritten, match=QUAY):
        add(library_in(tmp_path / "home"), pages)
