"""Edits of a file of pins: the one line changes, and every other byte stays."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.errors import PinFileError
from context7_fabric.project.pin_file import edit_file, with_pin, without_pin

WRITTEN = (
    "# ours\r\ntitle = 'x'  # kept\r\n\r\n[pins]\r\n"
    '# the web framework\r\nfastapi = "/a/b"  # why\r\n"python:redis" = \'/r/r/1.0\'\r\n\r\n'
    "[other]\r\nfastapi = 1\r\n"
)
NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)
IDS = st.from_regex(r"/[a-z0-9.-]{1,9}/[a-z0-9.-]{1,9}(/v?[0-9]{1,3}\.[0-9]{1,3})?", fullmatch=True)


def test_with_pin_of_a_known_name_replaces_its_value_alone() -> None:
    assert with_pin(WRITTEN, "fastapi", "/c/d/2.0") == WRITTEN.replace("/a/b", "/c/d/2.0")
    assert with_pin(WRITTEN, "python:redis", "/c/d") == WRITTEN.replace("'/r/r/1.0'", '"/c/d"')


def test_with_pin_of_a_new_name_adds_a_line_at_the_end_of_the_table() -> None:
    added = WRITTEN.replace("'/r/r/1.0'\r\n", '\'/r/r/1.0\'\r\n"next.js" = "/v/n"\r\n')
    assert with_pin(WRITTEN, "next.js", "/v/n") == added
    assert without_pin(added, "next.js") == WRITTEN


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ("", '[pins]\na = "/b/a"\n'),
        ("x = 1", 'x = 1\n\n[pins]\na = "/b/a"\n'),
        ("[pins]", '[pins]\na = "/b/a"\n'),
    ],
)
def test_with_pin_without_a_table_adds_one(text: str, edited: str) -> None:
    assert with_pin(text, "a", "/b/a") == edited


@pytest.mark.parametrize(
    "text", ["pins = {a = '/x/y'}", "pins.a = '/x/y'", "pins = 3", "[pins", "[[pins]]\na = 1"]
)
def test_edit_file_in_another_form_leaves_it_as_it_was(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pins.toml"
    path.write_text(text)
    with pytest.raises(PinFileError, match="by hand"):
        edit_file(path, "a", "/b/a", is_private=False)
    assert path.read_text() == text


@given(st.lists(st.tuples(NAMES, IDS | st.none()), max_size=8))
def test_edits_one_after_the_other_say_what_was_wanted(edits: list[tuple[str, str | None]]) -> None:
    text, expected = WRITTEN, tomllib.loads(WRITTEN)["pins"]
    for name, library_id in edits:
        if library_id is None:
            text = without_pin(text, name)
            expected.pop(name, None)
        else:
            text = with_pin(text, name, library_id)
            expected[name] = library_id
    assert tomllib.loads(text) == tomllib.loads(WRITTEN) | {"pins": expected}
    assert text.startswith(WRITTEN[: WRITTEN.index("[pins]")])
    assert text.endswith("[other]\r\nfastapi = 1\r\n")


def test_edit_file_keeps_the_mode_and_makes_a_private_one(tmp_path: Path) -> None:
    shared, own = tmp_path / "shared.toml", tmp_path / "own.toml"
    shared.write_text("")
    shared.chmod(0o664)
    edit_file(shared, "a", "/b/a", is_private=False)
    edit_file(own, "a", "/b/a", is_private=True)
    assert [path.stat().st_mode & 0o777 for path in (shared, own)] == [0o664, 0o600]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["own.toml", "shared.toml"]


def test_edit_file_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside.toml", tmp_path / "p"
    outside.write_text("x = 1\n")
    folder.mkdir()
    (folder / "pins.toml").symlink_to(outside)
    with pytest.raises(PinFileError, match="outside"):
        edit_file(folder / "pins.toml", "a", "/b/a", is_private=False)
    assert outside.read_text() == "x = 1\n"
