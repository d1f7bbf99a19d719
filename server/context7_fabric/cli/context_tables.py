"""How contexts look on the command line: as JSON, as a row of a table, as a value on its own.

What is stored is data: none of it reaches a terminal as anything but text.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import OverflowMethod
from rich.table import Table

from context7_fabric.cli.output import print_table
from context7_fabric.cli.text import harmless, one_line, say
from context7_fabric.durations import format_duration
from context7_fabric.fabric.context import Context, Json
from context7_fabric.fabric.search import Match

_SHOWN = 200
"""Characters of a value that a table looks at; it shows those that fit the terminal."""


def as_object(context: Context) -> dict[str, Json]:
    """Return `context` as the commands tell it in JSON; times are in epoch seconds."""
    told: dict[str, Json] = {
        "key": context.key,
        "scope": context.scope.value,
        "value": context.value,
        "metadata": context.metadata,
        "created_at": context.created_at,
        "expires_at": context.expires_at,
        "version": context.version,
    }
    if isinstance(context, Match):
        told |= {"similarity": context.similarity, "ranked_by": context.ranked_by}
    return told


def show_value(value: Json) -> None:
    """Print a value: text as it is, all else as indented JSON.

    A pipe gets it unchanged, without a line feed of ours behind a text; a terminal gets it
    harmless.
    """
    is_text = isinstance(value, str)
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    if sys.stdout.isatty():
        print(harmless(text))
        return
    data = text.encode("utf-8", "backslashreplace")
    sys.stdout.buffer.write(data if is_text else data + b"\n")


def show_listed(contexts: Sequence[Context], now: float) -> None:
    """Print contexts one a row, as old as they are at `now` (epoch seconds)."""
    table = _table("key", "age", "expires in", "version", "value")
    for context in contexts:
        version = str(context.version)
        age, left = format_duration(max(0.0, now - context.created_at)), _left(context, now)
        table.add_row(one_line(context.key), age, left, version, _beginning(context.value))
    print_table(table)


def show_matches(matches: Sequence[Match]) -> None:
    """Print what was found one a row, and by what it was ranked."""
    table = _table("similarity", "key", "value")
    for match in matches:
        row = f"{match.similarity:.2f}", one_line(match.key), _beginning(match.value)
        table.add_row(*row)
    print_table(table)
    for ranked_by in dict.fromkeys(match.ranked_by for match in matches):
        say(f"ranked by {ranked_by}")


def _table(*columns: str) -> Table:
    """Return a table as wide as the terminal.

    Keys and values share what the other columns leave: keys are folded, to be copied whole, values
    are cut.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True)
    for name in columns:
        share = 1 if name in ("key", "value") else None
        overflow: OverflowMethod = "fold" if name == "key" else "ellipsis"
        table.add_column(name, ratio=share, overflow=overflow, no_wrap=name != "key")
    return table


def _left(context: Context, now: float) -> str:
    if context.expires_at is None:
        return "-"
    return format_duration(max(0.0, context.expires_at - now))


def _beginning(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return one_line(text[:_SHOWN])
