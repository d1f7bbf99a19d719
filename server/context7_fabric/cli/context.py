"""`context get|set|list|search|delete`: what is stored, read and written by hand.

Only the store is opened: neither upstream nor the embedding worker is started.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable

from context7_fabric.cli.context_tables import (
    as_object,
    show_listed,
    show_matches,
    show_value,
)
from context7_fabric.cli.context_words import context_parser, json_value
from context7_fabric.cli.output import print_json, with_fabric
from context7_fabric.cli.text import complain, one_line, say, tell
from context7_fabric.durations import format_duration
from context7_fabric.errors import SettingError, StoreError
from context7_fabric.fabric.context import Context, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.services.contexts import listed, similar
from context7_fabric.services.views import is_listed

Options = argparse.Namespace


def run(words: list[str]) -> int:
    """Do what the words say; exit code 1 when something is not there, or the store fails."""
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
        complain(f"{error}: `context7-fabric doctor` tells what to do")
        return 1


async def _get(fabric: Fabric, options: Options) -> int:
    """Print the value under KEY; text as it is, all else as indented JSON."""
    context = await _found(fabric, options.key, options.scope)
    if context is None:
        return 1
    if options.json:
        print_json(as_object(context))
    else:
        show_value(context.value)
    return 0


async def _set(fabric: Fabric, options: Options) -> int:
    """Store VALUE under KEY; with a time to live, the store may drop it earlier when it is full."""
    value = _typed() if options.value == "-" else options.value
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
        say(f"stored {one_line(options.key)} as version {context.version}{kept}")
    return 0 if context else 1


async def _list(fabric: Fabric, options: Options) -> int:
    """List the contexts whose keys match PATTERN; newest first."""
    after = None
    if options.after is not None:
        after = await _found(fabric, options.after, options.scope)
        if after is None:
            return 1
    shown = _shown(options, options.pattern)
    most = options.limit + 1
    found = await listed(fabric, options.pattern, options.scope, most, shown, after)
    page = found[: options.limit]
    if options.json:
        for context in page:
            print_json(as_object(context))
    elif page:
        show_listed(page, time.time())
    if not page and not fabric.faults.count:
        complain(f"no key in {options.scope} matches {options.pattern!r}")
    if len(found) > len(page):
        _tell_of_more(options, page[-1].key)
    return 0


async def _search(fabric: Fabric, options: Options) -> int:
    """Find the contexts that are most similar to QUERY; the best first."""
    shown = _shown(options, "")
    matches = await similar(fabric, options.query, options.scope, options.limit, shown)
    if options.json:
        for match in matches:
            print_json(as_object(match))
    elif matches:
        show_matches(matches)
    if not matches and not fabric.faults.count:
        complain(f"nothing in {options.scope} is similar to {options.query!r}")
    return 0


def _shown(options: Options, asked: str) -> Callable[[Context], bool]:
    """Return what tells whether a context is shown: the program's own are on demand."""
    return lambda context: options.all or is_listed(context.key, options.scope, asked)


async def _delete(fabric: Fabric, options: Options) -> int:
    """Delete what is stored under each KEY."""
    missing = 0
    for key in options.keys:
        deleted = await fabric.delete_context(key, options.scope)
        missing += not deleted
        if options.json:
            print_json({"key": key, "scope": options.scope, "deleted": deleted})
        elif deleted:
            say(f"deleted {one_line(key)}")
        if not deleted:
            _tell_of_missing(key, options.scope)
    return 1 if missing else 0


async def _found(fabric: Fabric, key: str, scope: Scope) -> Context | None:
    """Return the context under `key`; say so where there is none."""
    context = await fabric.get_context(key, scope)
    if context is None and not fabric.faults.count:
        _tell_of_missing(key, scope)
    return context


def _tell_of_missing(key: str, scope: Scope) -> None:
    complain(f"there is no {key!r} in {scope}; `context list` tells what there is")


def _tell_of_more(options: Options, last: str) -> None:
    words = ["list", options.pattern, "--scope", options.scope, "--limit", str(options.limit)]
    words += ["--all"] if options.all else []
    command = shlex.join(["context7-fabric", "context", *words, "--after", last])
    tell(f"more: {one_line(command)}")


def _typed() -> str:
    """Return what stands on standard input, to the last byte."""
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise SettingError("standard input", "-", f"UTF-8 text: {error.reason}") from error
