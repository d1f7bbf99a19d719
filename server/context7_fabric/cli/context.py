"""`context get|set|list|search|delete`: read and write stored contexts.

Only the store is opened; neither upstream nor the embedding worker is started.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import OverflowMethod
from rich.table import Table

from context7_fabric.cli.output import print_json, print_table, with_fabric
from context7_fabric.cli.text import CommandParser, one_line, print_error, print_note, print_text
from context7_fabric.durations import format_duration, parse_duration
from context7_fabric.errors import SettingError, StoreError
from context7_fabric.fabric.codec import check_json
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.search import SearchMatch
from context7_fabric.process import harmless
from context7_fabric.relay.usage import suggestion
from context7_fabric.views.contexts import list_contexts, search_contexts
from context7_fabric.views.visibility import is_listed

_CELL = 200
"""Characters of a value that are formatted for a table, which cuts them to the terminal."""


def as_object(context: Context) -> dict[str, Json]:
    """Return the JSON form of `context`; times are in epoch seconds."""
    form: dict[str, Json] = {
        "key": context.key,
        "scope": context.scope.value,
        "value": context.value,
        "metadata": context.metadata,
        "created_at": context.created_at,
        "expires_at": context.expires_at,
        "version": context.version,
    }
    if isinstance(context, SearchMatch):
        form |= {"similarity": context.similarity, "ranked_by": context.ranked_by}
    return form


def show_value(value: Json) -> None:
    """Print a value: a text unchanged, anything else as indented JSON.

    A pipe gets it unchanged, without a line feed after a text; a terminal gets no control
    characters.
    """
    is_text = isinstance(value, str)
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    if sys.stdout.isatty():
        print(harmless(text))
        return
    data = text.encode("utf-8", "backslashreplace")
    sys.stdout.buffer.write(data if is_text else data + b"\n")


def show_listed(contexts: Sequence[Context], now: float) -> None:
    """Print a table of contexts with their age at `now` (epoch seconds)."""
    table = _table("key", "age", "expires in", "version", "value")
    for context in contexts:
        version = str(context.version)
        age, left = format_duration(max(0.0, now - context.created_at)), _left(context, now)
        table.add_row(one_line(context.key), age, left, version, _beginning(context.value))
    print_table(table)


def show_matches(matches: Sequence[SearchMatch]) -> None:
    """Print a table of matches, and the ranking method."""
    table = _table("similarity", "key", "value")
    for match in matches:
        row = f"{match.similarity:.2f}", one_line(match.key), _beginning(match.value)
        table.add_row(*row)
    print_table(table)
    for ranked_by in dict.fromkeys(match.ranked_by for match in matches):
        print_text(f"ranked by {ranked_by}")


def _table(*columns: str) -> Table:
    """Return a table as wide as the terminal, with the rest of the width for key and value.

    Keys are folded, so that they can be copied, and values are cut.
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
    return one_line(text[:_CELL])


_WHOLE = re.compile(r"[1-9][0-9]{0,8}")
_SHOWN = 40
_TEXT = "`-` reads it from standard input"


def context_parser(actions: Mapping[str, Callable[..., object]]) -> argparse.ArgumentParser:
    """Return the parser; its namespace holds the chosen one of `actions` as `action`."""
    parser = CommandParser("context7-fabric context", description="Read and write stored contexts.")
    commands = parser.add_subparsers(required=True, metavar="get|set|list|search|delete")
    named = {name: _command(commands, name, action) for name, action in actions.items()}
    named["get"].add_argument("key", metavar="KEY")
    _add_set(named["set"])
    _add_list(named["list"])
    named["search"].add_argument("query", metavar="QUERY")
    named["search"].add_argument("--limit", metavar="N", type=_limit, default=5)
    for name in ("list", "search"):
        about = "the program's own records too: counts, library rows and choices"
        named[name].add_argument("--all", action="store_true", help=about)
    named["delete"].add_argument("keys", metavar="KEY", nargs="+")
    return parser


def _command(
    commands: Any,  # noqa: ANN401  # argparse has no public type for it
    name: str,
    action: Callable[..., object],
) -> argparse.ArgumentParser:
    about = (action.__doc__ or "").partition(";")[0].rstrip(".")
    parser: argparse.ArgumentParser = commands.add_parser(name, description=f"{about}.", help=about)
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
    parser.add_argument("--after", metavar="KEY", help="those after KEY, the last one of a page")


def json_value(option: str, text: str) -> Json:
    """Return the JSON value in the `text` of an `option`.

    Raises:
        SettingError: It is not JSON, or not JSON that the fabric stores.
    """
    try:
        value: Json = json.loads(text)
        check_json(value, "it")
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
        hint = suggestion(text.upper(), Scope)
        raise SettingError("--scope", text, f"one of {', '.join(Scope)}{hint}")
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


ContextOptions = argparse.Namespace


def run(words: list[str]) -> int:
    """Run the command; exit code 1 if a key is missing or the store fails."""
    actions = {"get": _get, "set": _set, "list": _list, "search": _search, "delete": _delete}
    options = context_parser(actions).parse_args(words)

    async def work(fabric: Fabric) -> int:
        code: int = await options.action(fabric, options)
        if fabric.faults.count:
            raise StoreError("the store failed")
        return code

    try:
        return with_fabric(work)
    except StoreError as error:
        print_error(f"{error}: `context7-fabric doctor` tells what to do")
        return 1


async def _get(fabric: Fabric, options: ContextOptions) -> int:
    """Print the value under KEY; a text unchanged, anything else as indented JSON."""
    context = await _found(fabric, options.key, options.scope)
    if context is None:
        return 1
    if options.json:
        print_json(as_object(context))
    else:
        show_value(context.value)
    return 0


async def _set(fabric: Fabric, options: ContextOptions) -> int:
    """Store VALUE under KEY; with a time to live, a full store may evict it earlier."""
    value = _standard_input() if options.value == "-" else options.value
    if options.json_value:
        value = json_value("VALUE", value)
    if not await fabric.set_context(
        options.key, value, options.scope, options.metadata, options.ttl
    ):
        return 1
    context = await _found(fabric, options.key, options.scope)
    if context is not None and options.json:
        print_json(as_object(context))
    elif context is not None:
        kept = "" if options.ttl is None else f", for {format_duration(options.ttl)}"
        print_text(f"stored {one_line(options.key)} as version {context.version}{kept}")
    return 0 if context else 1


async def _list(fabric: Fabric, options: ContextOptions) -> int:
    """List the contexts whose keys match PATTERN; newest first."""
    after = None
    if options.after is not None:
        after = await _found(fabric, options.after, options.scope)
        if after is None:
            return 1
    shown = _shown(options, options.pattern)
    most = options.limit + 1
    found = await list_contexts(fabric, options.pattern, options.scope, most, shown, after)
    page = found[: options.limit]
    if options.json:
        for context in page:
            print_json(as_object(context))
    elif page:
        show_listed(page, time.time())
    if not page and not fabric.faults.count:
        print_error(f"no key in {options.scope} matches {options.pattern!r}")
    if len(found) > len(page):
        _note_next_page(options, page[-1].key)
    return 0


async def _search(fabric: Fabric, options: ContextOptions) -> int:
    """Find the contexts most similar to QUERY; best match first."""
    shown = _shown(options, "")
    matches = await search_contexts(fabric, options.query, options.scope, options.limit, shown)
    if options.json:
        for match in matches:
            print_json(as_object(match))
    elif matches:
        show_matches(matches)
    if not matches and not fabric.faults.count:
        print_error(f"nothing in {options.scope} is similar to {options.query!r}")
    return 0


def _shown(options: ContextOptions, asked: str) -> Callable[[Context], bool]:
    """Return the filter of shown contexts, which leaves out the program's own without --all."""
    return lambda context: options.all or is_listed(context.key, options.scope, asked)


async def _delete(fabric: Fabric, options: ContextOptions) -> int:
    """Delete the contexts under KEYs."""
    missing = 0
    for key in options.keys:
        deleted = await fabric.delete_context(key, options.scope)
        missing += not deleted
        if options.json:
            print_json({"key": key, "scope": options.scope, "deleted": deleted})
        elif deleted:
            print_text(f"deleted {one_line(key)}")
        if not deleted:
            _report_missing(key, options.scope)
    return 1 if missing else 0


async def _found(fabric: Fabric, key: str, scope: Scope) -> Context | None:
    """Return the context under `key`; print an error if there is none."""
    context = await fabric.get_context(key, scope)
    if context is None and not fabric.faults.count:
        _report_missing(key, scope)
    return context


def _report_missing(key: str, scope: Scope) -> None:
    print_error(f"there is no {key!r} in {scope}; `context list` shows what there is")


def _note_next_page(options: ContextOptions, last: str) -> None:
    words = ["list", options.pattern, "--scope", options.scope, "--limit", str(options.limit)]
    words += ["--all"] if options.all else []
    command = shlex.join(["context7-fabric", "context", *words, "--after", last])
    print_note(f"more: {one_line(command)}")


def _standard_input() -> str:
    """Return the text on standard input."""
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise SettingError("standard input", "-", f"UTF-8 text: {error.reason}") from error
