"""Parser of a command's words: no abbreviations, help within 80 columns, hints at near words."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from context7_fabric.cli.text import COLUMNS, columns, one_line
from context7_fabric.relay.usage import suggestion

_UNRECOGNISED = "unrecognized arguments: "
_LEAST_WIDTH = 40


class CommandParser(argparse.ArgumentParser):
    """An argument parser that takes every option in full only."""

    def __init__(self, prog: str | None = None, **more: Any) -> None:  # noqa: ANN401  # argparse's
        """Make a parser for `prog`, with argparse's own further arguments."""
        more.setdefault("formatter_class", HelpFormatter)
        super().__init__(prog, allow_abbrev=False, **more)

    def error(self, message: str) -> NoReturn:
        """End with the usage, what is wrong and what may be meant, and exit code 2."""
        words = message.removeprefix(_UNRECOGNISED).split()
        hint = ""
        if message.startswith(_UNRECOGNISED) and words:
            hint = suggestion(words[0].partition("=")[0], self._option_string_actions)
        super().error(one_line(message + hint))


class HelpFormatter(argparse.HelpFormatter):
    """Help as wide as the terminal, 80 columns at most."""

    def __init__(self, prog: str) -> None:
        """Format help for `prog`."""
        super().__init__(prog, width=max(_LEAST_WIDTH, min(COLUMNS, columns())) - 2)
