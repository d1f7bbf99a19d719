"""Files of docsets: names, the lock of each, what killed runs and open readers leave."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.docsets.files import DocsetFolder, stem_of
from support.docsets import held_open

IDS = st.one_of(
    st.sampled_from(["/../..", "/a/../../etc/passwd", "/CON/nul", "/a/b\\c", "/日本/語", "/./."]),
    st.text(max_size=600),
)
VERSIONS = st.none() | st.text(max_size=50)
SAFE = set("abcdefghijklmnopqrstuvwxyz0123456789.-_@")


def silent(_line: str) -> None:
    return


@pytest.fixture
def folder(tmp_path: Path) -> DocsetFolder:
    return DocsetFolder(tmp_path / "home" / "docsets")


def place(folder: DocsetFolder, stem: str = "quay.01", text: str = "new") -> Path:
    with folder.turn(stem, "adds quay", silent) as work:
        (work / "draft").write_text(text)
        return folder.place(work / "draft", stem, "abc/def", 1e9)


def names(folder: DocsetFolder) -> list[str]:
    return sorted(path.name for path in folder.path.iterdir() if path.is_file())


@given(IDS, VERSIONS)
def test_stem_of_any_id_is_one_safe_name(docset_id: str, version: str | None) -> None:
    stem = stem_of(docset_id, version)
    assert set(stem) <= SAFE
    assert not stem.startswith((".", "-"))
    assert len(stem) <= 100


@given(IDS, IDS, VERSIONS, VERSIONS)
def test_stem_differs_for_names_that_differ_but_in_case(
    one: str, other: str, first: str | None, second: str | None
) -> None:
    same = (one.casefold(), first) == (other.casefold(), second)
    folded = (first or "").casefold() == (second or "").casefold()
    if same or (one.casefold() != other.casefold() and folded):
        assert (stem_of(one, first) == stem_of(other, second)) is same


def test_place_gives_each_file_a_new_name_with_its_revision(folder: DocsetFolder) -> None:
    first, second = place(folder), place(folder, text="newer")
    assert first.name == "quay.01.abc-def.000001.sqlite"
    assert second.name == "quay.01.abc-def.000002.sqlite"
    assert names(folder) == [second.name]
    assert second.read_text() == "newer"


def test_stamp_changes_with_every_change(folder: DocsetFolder) -> None:
    stamps = [folder.stamp()]
    for text in "abc":
        place(folder, text=text)
        stamps.append(folder.stamp())
        folder.check(folder.files()["quay.01"][0], 2e9)
        stamps.append(folder.stamp())
    folder.discard("quay.01")
    stamps.append(folder.stamp())
    assert len(set(stamps)) == len(stamps)


def test_an_older_generation_that_a_killed_run_left_is_not_served(folder: DocsetFolder) -> None:
    newest = place(folder)
    newest.with_name("quay.01.zzz.000000.sqlite").write_text("older")
    assert [each.generation for each in folder.files()["quay.01"]] == [1, 0]
    folder.sweep()
    assert names(folder) == [newest.name]


@pytest.mark.parametrize(
    "odd", ["notes.txt", "a.sqlite", "x.y.1.sqlite", ".hidden", "quay.01.a.000009.sqlite/"]
)
def test_files_of_others_are_left_alone(folder: DocsetFolder, odd: str) -> None:
    place(folder)
    if odd.endswith("/"):
        (folder.path / odd).mkdir()
    else:
        (folder.path / odd).write_text("")
    folder.sweep()
    assert list(folder.files()) == ["quay.01"]
    assert len(folder.files()["quay.01"]) == 1
    assert (folder.path / odd).exists()


def test_a_link_in_the_folder_is_no_docset(folder: DocsetFolder, tmp_path: Path) -> None:
    place(folder)
    (tmp_path / "secret").write_text("secret")
    (folder.path / "evil.00.a.000001.sqlite").symlink_to(tmp_path / "secret")
    assert list(folder.files()) == ["quay.01"]


def test_a_folder_that_is_a_link_is_refused(folder: DocsetFolder, tmp_path: Path) -> None:
    folder.path.parent.mkdir()
    (tmp_path / "elsewhere").mkdir()
    folder.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        place(folder)


def test_what_a_killed_run_left_is_removed_by_the_next(folder: DocsetFolder) -> None:
    place(folder)
    for stem in ("quay.01", "dock.02"):
        (folder.path / "work" / stem / "source").mkdir(parents=True)
        (folder.path / "work" / stem / "source" / "page.md").write_text("left")
    with folder.turn("quay.01", "adds quay", silent) as work:
        assert list(work.iterdir()) == []
        folder.sweep()
        assert [path.name for path in (folder.path / "work").iterdir()] == ["quay.01"]


def test_sweep_leaves_what_another_run_is_writing(folder: DocsetFolder) -> None:
    with folder.turn("dock.02", "adds dock", silent) as other:
        (other / "page.md").write_text("being written")
        with folder.turn("quay.01", "adds quay", silent):
            folder.sweep()
        assert (other / "page.md").exists()


def test_turn_that_is_taken_says_by_whom_and_waits(folder: DocsetFolder) -> None:
    order: list[str] = []

    def second() -> None:
        with folder.turn("quay.01", "adds quay again", order.append):
            order.append("second")

    with folder.turn("quay.01", "adds quay", silent):
        thread = Thread(target=second)
        thread.start()
        thread.join(0.3)
        assert order == ["adds quay"]
        order.append("first ends")
    thread.join(10)
    assert order == ["adds quay", "first ends", "second"]


def test_turn_of_another_docset_does_not_wait(folder: DocsetFolder) -> None:
    waits: list[str] = []
    with folder.turn("quay.01", "", silent), folder.turn("dock.02", "", waits.append):
        assert waits == []


def test_a_file_that_a_reader_holds_open_is_marked_as_gone(folder: DocsetFolder) -> None:
    held = place(folder)
    with held_open(held):
        folder.discard("quay.01")
    assert [each.is_gone for each in folder.files()["quay.01"]] == [True, False]
    assert held.exists()
    newest = place(folder)
    assert folder.files()["quay.01"][0].path == newest
    folder.sweep()
    assert names(folder) == [newest.name]


def test_a_mark_goes_with_the_file_that_it_marks(folder: DocsetFolder) -> None:
    held = place(folder)
    with held_open(held):
        folder.discard("quay.01")
        folder.sweep()
        assert len(names(folder)) == 2
    folder.sweep()
    assert names(folder) == []


@pytest.mark.parametrize(("later", "again"), [(10.0, False), (100.0, True), (-1000.0, True)])
def test_try_again_after_a_pause_by_any_process(
    folder: DocsetFolder, later: float, again: bool
) -> None:
    assert folder.try_again("quay.01", 1e9, pause=100)
    assert DocsetFolder(folder.path).try_again("quay.01", 1e9 + later, pause=100) is again
