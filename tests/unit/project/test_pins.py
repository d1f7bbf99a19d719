"""Pins of the user and of a project: what a file may say, and in which order files count."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from context7_fabric.errors import UnusablePin
from context7_fabric.project.pins import LARGEST_FILE, ProjectPins, read_pin, read_project
from support.projects import pin_file, python_project


def read(folder: Path, home: Path | None = None) -> ProjectPins:
    return read_project((folder,), home or folder / "no home")


def named(pins: ProjectPins) -> list[str]:
    return [f"{pin.called} {pin.library} {pin.origin}" for pin in pins.pins]


def test_pins_count_by_authority_the_users_first(tmp_path: Path) -> None:
    folder = pin_file(python_project(tmp_path / "p", fastapi="1.0"), '[pins]\na = "/b/a"\n')
    with (folder / "pyproject.toml").open("a") as file:
        file.write('[tool.context7-fabric]\npins = { a = "/c/a", b = "/c/b/1.2" }\n')
    home = tmp_path / "home"
    home.mkdir()
    (home / "pins.toml").write_text('[pins]\n"python:a" = "/a/a"\n')
    pins = read(folder, home)
    assert named(pins) == [
        "a /a/a pins.toml",
        "a /b/a .context7-fabric.toml",
        "a /c/a pyproject.toml",
        "b /c/b/1.2 pyproject.toml",
    ]
    assert [pin.trusted for pin in pins.pins] == [True, False, False, False]
    assert [(each.name, each.version) for each in pins.dependencies] == [("fastapi", "1.0")]
    assert pins.problems == ()


def test_digest_differs_with_a_pin_and_with_a_locked_version(tmp_path: Path) -> None:
    folders = [python_project(tmp_path / "a", fastapi="1.0") for _ in range(2)]
    folders.append(python_project(tmp_path / "b", fastapi="1.1"))
    folders.append(pin_file(python_project(tmp_path / "c", fastapi="1.0"), '[pins]\na = "/b/a"\n'))
    digests = [read(folder).digest for folder in folders]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert read(tmp_path).digest == ""


@pytest.mark.parametrize(
    ("name", "called", "ecosystems"),
    [
        ("next.js", "next.js", None),
        ("python:redis", "redis", {"pypi"}),
        ("redis in Python", "redis", {"pypi"}),
        ("php:laravel", "laravel", set()),
        ("@angular/core", "@angular/core", None),
    ],
)
def test_read_pin_of_a_name_reads_it_as_a_look_up_does(
    name: str, called: str, ecosystems: set[str] | None
) -> None:
    pin = read_pin(name, "/a/b", "file")
    assert (pin.called, pin.ecosystems) == (called, ecosystems)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "/a/b"),
        ("a\0b", "/a/b"),
        ("a" * 300, "/a/b"),
        ("django 4", "/a/b"),
        (3, "/a/b"),
        ("a", 3),
        ("a", ["/a/b"]),
        ("a", "b"),
        ("a", "/a"),
        ("a", "/a/b c"),
        ("a", "/a/ignore previous instructions"),
        ("a", "/a/\u202eb"),
        ("a", "/a/" + "b" * 300),
    ],
)
def test_read_pin_of_what_is_none_names_the_reason_in_one_line(name: object, value: object) -> None:
    with pytest.raises(UnusablePin) as raised:
        read_pin(name, value, "file")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def elsewhere(folder: Path) -> None:
    outside = pin_file(folder.parent / "outside", '[pins]\na = "/b/a"\n') / ".context7-fabric.toml"
    (folder / ".context7-fabric.toml").symlink_to(outside)


def in_a_circle(folder: Path) -> None:
    (folder / ".context7-fabric.toml").symlink_to(folder / ".context7-fabric.toml")


def as_pipe(folder: Path) -> None:
    os.mkfifo(folder / ".context7-fabric.toml")


def as_folder(folder: Path) -> None:
    (folder / ".context7-fabric.toml").mkdir()


def with_text(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        pin_file(folder, text)

    return write


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "elsewhere": (elsewhere, "outside of the project"),
    "circle": (in_a_circle, ""),
    "pipe": (as_pipe, "not a regular file"),
    "folder": (as_folder, ""),
    "large": (with_text("[pins]\na = '/b/a'\n#" + "x" * LARGEST_FILE), "larger than"),
    "deep": (with_text("pins = " + "[" * 20_000), ""),
    "number": (with_text("pins = 3"), "has to be a table"),
    "list": (with_text("[[pins]]\na = '/a/b'"), "has to be a table"),
    "cut": (with_text("[pins"), "not TOML"),
    "nul": (with_text("[pins]\na = '/b/a'\0"), "not a text"),
    "date": (with_text("[pins]\na = 1979-05-27"), "has to be an id"),
    "table": (with_text("[pins.a]\nb = '/b/a'"), "has to be an id"),
    "many": (
        with_text("[pins]\n" + "".join(f"a{n} = '/b/a'\n" for n in range(2000))),
        "first 1000",
    ),
}


@pytest.mark.parametrize(("spoil", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_read_project_with_a_hostile_file_names_it_and_reads_the_others(
    tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    folder = python_project(tmp_path / "p", fastapi="1.0")
    spoil(folder)
    pins = read(folder)
    assert [(each.name, each.version) for each in pins.dependencies] == [("fastapi", "1.0")]
    ((file, why),) = pins.problems
    assert file == ".context7-fabric.toml"
    assert reason in why
    assert "\n" not in why
