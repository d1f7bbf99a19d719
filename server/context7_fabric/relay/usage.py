"""Notes on stderr about a start: unknown options and variables, a server on a terminal."""

from __future__ import annotations

import os
import sys

from context7_fabric.variables import PREFIX, VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VERSION_OPTIONS = ("--version", "-v", "-V")
_VALUED = ("--transport", "--port", "--host", "--api-key")
_OPTIONS = (*_VALUED, *VERSION_OPTIONS, "--help", "-h", "--")

_LONGEST = 60
_MOST = 5
_ON_A_TERMINAL = """\
context7-fabric: serving MCP on stdin and stdout for an editor; Ctrl-C ends it.
To set one up: `context7-fabric config CLIENT`. All commands: `--help`.
"""


def asks_to_serve(words: list[str]) -> bool:
    """Tell whether a command line starts a server."""
    return not words or words[0].startswith("-") or words[0] == "serve"


def asks_for_version(words: list[str]) -> bool:
    """Tell whether a command line that starts a server asks for the version instead."""
    return any(word in VERSION_OPTIONS for word in words)


def note_usage(words: list[str], environ: Mapping[str, str], *, on_stdio: bool) -> None:
    """Print notes about the unknown options and variables, which are ignored.

    With `on_stdio`, a note says on a terminal that the server waits for a client.
    """
    notes = [_variable_note(*each) for each in nearest_variables(environ).items()]
    if asks_to_serve(words):
        notes += [_option_note(each) for each in _unknown_options(words)]
    if on_stdio and os.isatty(0):
        notes.append(_ON_A_TERMINAL)
    if notes and sys.stderr is not None:
        sys.stderr.write("".join(notes))
        sys.stderr.flush()


def nearest_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `environ` that have the prefix and are not declared.

    Each comes with the declared variable that it may mean, or ''.
    """
    ours = (name[len(PREFIX) :] for name in sorted(environ) if name.startswith(PREFIX))
    unknown = [name for name in ours if name not in VARIABLES][:_MOST]
    near = {name: nearest(name, VARIABLES) for name in unknown}
    return {PREFIX + name: PREFIX + known if known else "" for name, known in near.items()}


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the word of `known` that is closest to `word`, '' if none is close."""
    from difflib import get_close_matches

    near = get_close_matches(word[:_LONGEST], list(known), 1, 0.7)
    return near[0] if near else ""


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return the question "did you mean" for the word of `known` closest to `word`, or ''."""
    near = nearest(word, known)
    return f": did you mean '{near}'?" if near else ""


def _unknown_options(words: list[str]) -> list[str]:
    """Return the options of a command line that `serve` does not have, without their values."""
    unknown, is_value = list[str](), False
    for word in words:
        name, _, given = word.partition("=")
        if is_value or not word.startswith("-"):
            is_value = False
            continue
        is_value = name in _VALUED and not given
        if name not in _OPTIONS and name not in unknown:
            unknown.append(name)
    return unknown[:_MOST]


def _option_note(name: str) -> str:
    known = [each for each in _OPTIONS if each.startswith("--") and each != "--"]
    return _note("option", name, suggestion(name, known))


def _variable_note(name: str, known: str) -> str:
    return _note("variable", name, f": did you mean '{known}'?" if known else "")


def _note(kind: str, name: str, hint: str) -> str:
    return f"context7-fabric: unknown {kind} {name[:_LONGEST]!a} is ignored{hint}\n"
