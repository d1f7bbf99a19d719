"""`pin`: choose the library, or its version, that a name means; list and remove such choices."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from context7_fabric.cli.output import print_json, print_table, settings_of_command
from context7_fabric.cli.text import CommandParser, one_line, print_note, print_text
from context7_fabric.errors import NoProject, SettingError, UnknownPin
from context7_fabric.process import harmless
from context7_fabric.project.pin_file import edit_file
from context7_fabric.project.pins import (
    PROJECT_FILE,
    USER_FILE,
    Pin,
    ProjectPins,
    read_pin,
    read_project,
)
from context7_fabric.project.projects import project_folders
from context7_fabric.relay.folders import make_home
from context7_fabric.settings import Settings

_ABOUT = """Choose the library that a NAME means, with its version or without one, as in `pin
next.js /vercel/next.js/v15.1.8`: look-ups list it first, and questions without a version are asked
for that one. NAME may have its ecosystem in front: `python:redis`. Pins of the user count in every
project, those of a project in its folder; without a pin the versions in its lock files count."""
_SWITCHED_OFF = "Pins are switched off: CONTEXT7_FABRIC_PROJECT=off."


def run(words: list[str]) -> int:
    """Write, list or remove pins."""
    options = _parser().parse_args(words)
    _check(options)
    pins = PinCommand(settings_of_command())
    if options.remove is not None:
        return pins.remove(options.remove, _scope(options), as_json=options.json)
    if options.name is None:
        return pins.list(as_json=options.json)
    return pins.add(options.name, options.id, _scope(options), as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("context7-fabric pin", description=_ABOUT)
    parser.add_argument("name", metavar="NAME", nargs="?", help="a library's name")
    parser.add_argument("id", metavar="ID", nargs="?", help="/org/project or /org/project/1.2.3")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--project", action="store_true", help=f"in {PROJECT_FILE} of this project (the default)"
    )
    where.add_argument("--user", action="store_true", help="for this user, in every project")
    parser.add_argument("--list", action="store_true", help="list pins and locked versions")
    parser.add_argument("--remove", metavar="NAME", help="remove a pin")
    parser.add_argument("--json", action="store_true", help="the same as a JSON object")
    return parser


def _check(options: argparse.Namespace) -> None:
    """Raise `SettingError` unless the options ask for one thing."""
    asked = [options.name is not None, options.list, options.remove is not None]
    if sum(asked) != 1:
        expected = "one of NAME ID, --list and --remove NAME"
        raise SettingError("pin", " ".join(filter(None, (options.name, options.remove))), expected)
    if options.name is not None and options.id is None:
        raise SettingError("pin", options.name, "followed by an id such as /org/project/1.2.3")


def _scope(options: argparse.Namespace) -> str | None:
    return "user" if options.user else "project" if options.project else None


class PinCommand:
    """The pins of this user and of the project in the working directory."""

    def __init__(self, settings: Settings) -> None:
        """Read them."""
        self._settings = settings
        self._is_off = not settings.project
        folders = () if self._is_off else project_folders(Path(settings.project), Path.home())
        self._pins = ProjectPins() if self._is_off else read_project(folders, settings.home)
        self._user_file = settings.home / USER_FILE
        with_file = [each / PROJECT_FILE for each in folders if (each / PROJECT_FILE).exists()]
        fresh = [each / PROJECT_FILE for each in folders[:1]]
        self._project_file = next(iter([*with_file, *fresh]), None)

    def add(self, name: str, library_id: str, scope: str | None, *, as_json: bool) -> int:
        """Write a pin, in place of the one of the same name."""
        path = self._place(scope)
        pin = read_pin(name, library_id, str(path))
        own = self._alike(pin, path)
        self._edit(path, own.name if own else name, str(pin.library))
        if as_json:
            print_json({"name": name, "library_id": str(pin.library), "file": str(path)})
        else:
            print_text(one_line(f"{name} is pinned to {pin.library} in {path}."))
        self._warn_off()
        return 0

    def remove(self, name: str, scope: str | None, *, as_json: bool) -> int:
        """Remove a pin from the project's file, else from the user's."""
        asked = read_pin(name, "/any/library", "")
        places = [self._place(scope)] if scope else [*self._files()]
        found = [(path, own) for path in places if (own := self._alike(asked, path))]
        if not found:
            raise UnknownPin(name, tuple(map(str, places)), self._elsewhere(asked))
        path, own = found[0]
        self._edit(path, own.name, None)
        if as_json:
            print_json({"removed": own.name, "library_id": str(own.library), "file": str(path)})
        else:
            print_text(one_line(f"The pin of {own.name} to {own.library} is removed from {path}."))
        return 0

    def list(self, *, as_json: bool) -> int:
        """Print pins by their authority, locked versions, and what could not be read."""
        if as_json:
            print_json(self._as_json())
            return 0
        rows = [*self._pin_rows(), *self._locked_rows()]
        if rows:
            table = Table("name", "library", "from", "in force", box=None, pad_edge=False)
            for row in rows:
                table.add_row(*map(harmless, map(one_line, row)))
            print_table(table)
        else:
            print_note("There are no pins and no locked versions here.")
        for file, reason in self._pins.problems:
            print_note(one_line(f"{file}: {reason}"))
        if self._settings.named_project and not self._pins.folders:
            print_note(one_line(str(NoProject(self._settings.named_project))))
        self._warn_off()
        return 0

    def _edit(self, path: Path, name: str, library_id: str | None) -> None:
        edit_file(path, name, library_id, is_private=path == self._user_file)

    def _files(self) -> Iterator[Path]:
        yield from filter(None, (self._project_file,))
        yield self._user_file

    def _place(self, scope: str | None) -> Path:
        """Return the file for a scope; by default the project's, without one the user's."""
        if scope == "project" and self._project_file is None:
            raise NoProject(self._settings.project)
        if scope == "user" or self._project_file is None:
            make_home(str(self._settings.home))
            return self._user_file
        return self._project_file

    def _alike(self, pin: Pin, path: Path) -> Pin | None:
        """Return the pin of the same name in a file."""
        found = (each for each in self._pins.pins if each.path == str(path))
        return next((each for each in found if _is_alike(each, pin)), None)

    def _elsewhere(self, pin: Pin) -> str | None:
        return next((each.path for each in self._pins.pins if _is_alike(each, pin)), None)

    def _pin_rows(self) -> Iterator[Sequence[str]]:
        for at, pin in enumerate(self._pins.pins):
            first = self._overriding(at)
            counts = "yes" if first is None else f"no, {first.path} goes before"
            yield pin.name, str(pin.library), pin.path, counts

    def _locked_rows(self) -> Iterator[Sequence[str]]:
        for each in self._pins.dependencies:
            first = self._pin_before(each.name)
            counts = "yes" if first is None else f"no, {first.path} goes before"
            yield f"{each.ecosystem}:{each.name}", f"version {each.version}", each.file, counts

    def _overriding(self, at: int) -> Pin | None:
        """Return the pin with more authority that has the name of the one at a place."""
        pin = self._pins.pins[at]
        return next(
            (
                each
                for each in self._pins.pins[:at]
                if each.called == pin.called and each.admits(pin.ecosystems)
            ),
            None,
        )

    def _pin_before(self, name: str) -> Pin | None:
        """Return the pin with a version that has the name of a dependency."""
        for each in self._pins.pins:
            named = self._pins.index.called(each.called, each.ecosystems)
            if each.library.version is not None and name in {one.name for one in named}:
                return each
        return None

    def _as_json(self) -> dict[str, Any]:
        pins = [
            {"name": pin.name, "library_id": str(pin.library), "file": pin.path}
            | {"in_force": self._overriding(at) is None, "trusted": pin.trusted}
            for at, pin in enumerate(self._pins.pins)
        ]
        locked = [
            {"ecosystem": each.ecosystem, "name": each.name, "version": each.version}
            | {"file": each.file, "in_force": self._pin_before(each.name) is None}
            for each in self._pins.dependencies
        ]
        folders = [str(each) for each in self._pins.folders]
        problems = [{"file": file, "reason": reason} for file, reason in self._pins.problems]
        state = {"is_off": self._is_off, "folders": folders}
        return state | {"pins": pins, "locked": locked, "problems": problems}

    def _warn_off(self) -> None:
        if self._is_off:
            print_note(_SWITCHED_OFF)


def _is_alike(one: Pin, other: Pin) -> bool:
    return (one.called, one.ecosystems) == (other.called, other.ecosystems)
