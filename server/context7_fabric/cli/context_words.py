"""The words behind `context`: which there are, and what each is read as.

A word that cannot be used raises `SettingError`, which names the option.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from context7_fabric.cli.parser import CommandParser
from context7_fabric.durations import parse_duration
from context7_fabric.errors import SettingError
from context7_fabric.fabric.codec import check
from context7_fabric.fabric.context import Json, Scope

_WHOLE = re.compile(r"[1-9][0-9]{0,8}")
_SHOWN = 40
_TEXT = "`-` reads it from standard input"


def context_parser(actions: Mapping[str, Callable[..., object]]) -> argparse.ArgumentParser:
    """Return the parser, which puts the one of the `actions` that is asked for into `action`."""
    parser = CommandParser("context7-fabric context", description="Read and write what is stored.")
    commands = parser.add_subparsers(required=True, metavar="get|set|list|search|delete")
    named = {name: _command(commands, name, action) for name, action in actions.items()}
    named["get"].add_argument("key", metavar="KEY")
    _add_set(named["set"])
    _add_list(named["list"])
    named["search"].add_argument("query", metavar="QUERY")
    named["search"].add_argument("--limit", metavar="N", type=_limit, default=5)
    for name in ("list", "search"):
        told = "the program's own records too: counts, library rows and choices"
        named[name].add_argument("--all", action="store_true", help=told)
    named["delete"].add_argument("keys", metavar="KEY", nargs="+")
    return parser


def _command(
    commands: Any,  # noqa: ANN401  # argparse names no type for it
    name: str,
    action: Callable[..., object],
) -> argparse.ArgumentParser:
    told = (action.__doc__ or "").partition(";")[0].rstrip(".")
    parser: argparse.ArgumentParser = commands.add_parser(name, description=f"{told}.", help=told)
    scopes = ", ".join(Scope)
    parser.add_argument(
        "--scope", type=_scope, default=Scope.GLOBAL, help=f"one of {scopes} (default GLOBAL)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(action=action)
    return parser


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY")
    parser.add_argument("value", metavar="VALUE", help=f"text; {_TEXT}")
    parser.add_argument("--json-value", action="store_true", help="VALUE is JSON, not text")
    parser.add_argument("--metadata", metavar="JSON", type=_metadata, help="a JSON object")
    parser.add_argument(
        "--ttl", metavar="TIME", type=_ttl, help="keep it for 90s, 10m, 6h or 1d (default: always)"
    )


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pattern", metavar="PATTERN", nargs="?", default="*", help="a glob of keys")
    parser.add_argument("--limit", metavar="N", type=_limit, default=20, help="at most N of them")
    parser.add_argument("--after", metavar="KEY", help="those behind KEY, the last of a page")


def json_value(option: str, text: str) -> Json:
    """Return the JSON in `text`, which was given for `option`.

    Raises:
        SettingError: It is not JSON, or not such as the fabric stores.
    """
    try:
        value: Json = json.loads(text)
        check(value, "it")
    except (ValueError, RecursionError) as error:
        raise SettingError(option, text[:_SHOWN], f"JSON: {error}") from error
    return value


def _metadata(text: str) -> dict[str, Json]:
    value = json_value("--metadata", text)
    if not isinstance(value, dict):
        raise SettingError("--metadata", text[:_SHOWN], 'a JSON object such as {"by": "me"}')
    return value


def _scope(text: str) -> Scope:
    if text.upper() not in list(Scope):
        raise SettingError("--scope", text, f"one of {', '.join(Scope)}")
    return Scope(text.upper())


def _ttl(text: str) -> float:
    seconds = parse_duration(text)
    if not seconds:
        raise SettingError("--ttl", text, "a time above zero such as 90s, 10m, 6h or 1d")
    return seconds


def _limit(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise SettingError("--limit", text, "a whole number from 1 on")
    return int(text)
