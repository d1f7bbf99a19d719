"""Output for people: no control characters, lines that fit the terminal, local times.

Output contains text from upstream and other programs, which must not steer a terminal.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from context7_fabric.process import harmless
from context7_fabric.relay.usage import suggestion

TYPE_CHECKING = False  # a command that asks the daemon takes as long as its imports
if TYPE_CHECKING:
    from typing import Any, NoReturn, TextIO

COLUMNS = 80
"""Width of help, and of a terminal of unknown width."""

WAIT_SECONDS = 1.0
"""Seconds that a command may be silent on a terminal."""

_LEAST_COLUMNS = 20


def one_line(text: str) -> str:
    """Return `text` on one line, without control characters."""
    return harmless(" ".join(text.split()))


def print_text(text: str, *, hanging: int = 0) -> None:
    """Print `text` on stdout; wrapped lines are indented by `hanging` columns."""
    print(_fitted(harmless(text), sys.stdout, hanging), flush=True)


def print_note(text: str) -> None:
    """Print `text` on stderr."""
    if sys.stderr is not None:
        print(_fitted(harmless(text), sys.stderr, 0), file=sys.stderr, flush=True)


def print_error(text: str) -> None:
    """Print an error in one line on stderr."""
    print_note(one_line(f"context7-fabric: {text}"))


def local_time(at: float, precision: str = "seconds") -> str:
    """Return the time `at` (epoch seconds) in this machine's zone, with its offset."""
    from datetime import datetime

    return datetime.fromtimestamp(at).astimezone().isoformat(" ", precision)


def columns() -> int:
    """Return the width of the terminal."""
    import shutil

    return max(_LEAST_COLUMNS, shutil.get_terminal_size((COLUMNS, 24)).columns)


def is_utf8(stream: TextIO) -> bool:
    """Tell whether `stream` can encode every character."""
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


def _fitted(text: str, stream: TextIO, hanging: int) -> str:
    """Return `text` wrapped to the terminal, if `stream` is one."""
    if not stream.isatty():
        return text
    import textwrap

    width = columns()
    wrap = textwrap.TextWrapper(
        width, subsequent_indent=" " * min(hanging, width // 2), break_on_hyphens=False
    )
    return "\n".join(line if len(line) <= width else wrap.fill(line) for line in text.split("\n"))


_BEYOND_ASCII = re.compile(r"[^ -~]")


def print_json(value: Any) -> None:  # noqa: ANN401  # whatever JSON can say
    """Print `value` as one line of JSON, in which what cannot be printed is escaped."""
    line = json.dumps(value, ensure_ascii=not is_utf8(sys.stdout))
    print(_BEYOND_ASCII.sub(_escaped, line), flush=True)


def _escaped(sign: re.Match[str]) -> str:
    return sign[0] if sign[0].isprintable() else json.dumps(sign[0])[1:-1]


@contextmanager
def notice_of_a_wait() -> Generator[None]:
    """Print on a terminal's stderr that Context7 is asked, once the block has taken a second."""
    if not sys.stderr.isatty():
        yield
        return
    from threading import Timer

    timer = Timer(WAIT_SECONDS, print, ["Asking Context7 …"], {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


_UNRECOGNISED = "unrecognized arguments: "
_ARGUMENT = "argument "
_CHOICE = re.compile(r"invalid choice: '(?P<word>.*)' \(choose from (?P<choices>.*)\)", re.DOTALL)
_LEAST_WIDTH = 40


class ParserRequest(list[str]):
    """Words of a command that make it show its parser, by `ParserFound`, instead of running."""


class ParserFound(Exception):
    """A command shows its `parser`."""

    def __init__(self, parser: CommandParser) -> None:
        super().__init__(parser.prog)
        self.parser = parser


class CommandParser(argparse.ArgumentParser):
    """Argument parser without abbreviated options, whose help ends with examples."""

    def __init__(self, prog: str | None = None, **more: Any) -> None:  # noqa: ANN401  # argparse's
        more.setdefault("formatter_class", HelpFormatter)
        super().__init__(prog, allow_abbrev=False, **more)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401  # argparse's
        """Parse as argparse does; raise `ParserFound` at a `ParserRequest`."""
        if isinstance(args, ParserRequest):
            raise ParserFound(self)
        return super().parse_known_args(args, namespace)

    def parse_known_intermixed_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401  # argparse's
        """Parse as argparse does; raise `ParserFound` at a `ParserRequest`."""
        if isinstance(args, ParserRequest):
            raise ParserFound(self)
        return super().parse_known_intermixed_args(args, namespace)

    def format_help(self) -> str:
        """Return the help with the examples of the command."""
        from context7_fabric.cli.commands import examples_of

        lines = "".join(f"\n  {line}" for line in examples_of(self.prog))
        return super().format_help() + (f"\nexamples:{lines}\n" if lines else "")

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and the error: a wrong value in one line, the rest below the usage.

        The closest option or value is named beside one that does not exist.
        """
        if message.startswith(_ARGUMENT):
            print_error(f"{message.removeprefix(_ARGUMENT)}{_closest_choice(message)}")
            self.exit(2)
        words = message.removeprefix(_UNRECOGNISED).split()
        hint = ""
        if message.startswith(_UNRECOGNISED) and words:
            hint = suggestion(words[0].partition("=")[0], self._options())
        super().error(one_line(message + hint))

    def _options(self) -> set[str]:
        """Return the options of this parser and of its subcommands."""
        return {option for each in actions_of(self) for option in each.option_strings}


def actions_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the options and arguments of a parser and of its subcommands."""
    for action in parser._actions:  # noqa: SLF001  # argparse has no public list
        yield action
        if isinstance(action.choices, dict):
            for nested in action.choices.values():
                yield from actions_of(nested)


def _closest_choice(message: str) -> str:
    """Return the question "did you mean" for an error about a choice, or ''."""
    found = _CHOICE.search(message)
    if found is None:
        return ""
    return suggestion(found["word"], [each.strip(" '") for each in found["choices"].split(",")])


class HelpFormatter(argparse.HelpFormatter):
    """Help as wide as the terminal, at most 80 columns."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=max(_LEAST_WIDTH, min(COLUMNS, columns())) - 2)
