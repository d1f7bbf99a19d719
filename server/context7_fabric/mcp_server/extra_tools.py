"""Optional tools of our own: feedback on answers, and contexts of the fabric.

Their calls are not in the call log, which is about answers.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import mcp_types as types

from context7_fabric.call_log.feedback import BEST, LONGEST_TEXT, WORST, Feedback
from context7_fabric.errors import ArgumentError, FabricError
from context7_fabric.fabric.context import KEY_LIMIT, Context, Json, Scope
from context7_fabric.fabric.search import SearchMatch
from context7_fabric.mcp_server.arguments import check_size
from context7_fabric.settings.values import (
    FABRIC_GET,
    FABRIC_QUERY,
    FABRIC_SEARCH,
    FABRIC_SET,
    RECORD_FEEDBACK,
)
from context7_fabric.views.contexts import ContextViews
from context7_fabric.views.visibility import entry_json

MOST_FOUND = 50
"""Contexts in the result of one call."""

LONGEST_QUERY = 2_000
_Schema = Mapping[str, Any]

_SCOPE = {"type": "string", "enum": list(Scope), "default": Scope.GLOBAL.value}
_KEY = {"type": "string", "minLength": 1, "maxLength": KEY_LIMIT}
_QUERY = {"type": "string", "maxLength": LONGEST_QUERY}
_LIMIT = {"type": "integer", "minimum": 1, "maximum": MOST_FOUND, "default": 10}


def _tool(
    name: str,
    title: str,
    description: str,
    properties: dict[str, _Schema],
    required: list[str],
    *,
    writes: bool = False,
) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required}
    hints = {
        "readOnlyHint": not writes,
        "destructiveHint": writes,
        "idempotentHint": True,
        "openWorldHint": False,
    }
    return {
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": schema,
        "annotations": hints,
    }


def _described(description: str, schema: _Schema | None = None) -> dict[str, Any]:
    return {**(schema or {}), "description": description}


_TEXT = {"type": "string", "maxLength": LONGEST_TEXT}
_EXECUTION = _described("execution_id of the answer, or how it begins.", {"type": "string"})

OPTIONAL = {
    tool["name"]: tool
    for tool in (
        _tool(
            RECORD_FEEDBACK,
            "Rate an answer",
            "Rates a documentation answer or look-up. 1 or 2 drops the stored copy, 4 or 5 keeps"
            " it fresh longer.",
            {
                "executionId": {**_EXECUTION, "minLength": 1, "maxLength": 100},
                "rating": _described(
                    "1 (useless) to 5 (just right).",
                    {"type": "integer", "minimum": WORST, "maximum": BEST},
                ),
                "comment": _described("Why.", _TEXT),
                "corrections": _described("What would have been right.", _TEXT),
            },
            ["executionId", "rating"],
            writes=True,
        ),
        _tool(
            FABRIC_GET,
            "Read a stored context",
            "Returns what is stored under a key, as JSON.",
            {
                "key": _described("The whole key.", _KEY),
                "scope": _described("Where it lies.", _SCOPE),
            },
            ["key"],
        ),
        _tool(
            FABRIC_SET,
            "Store a context",
            "Stores a value under a key for later sessions, in place of what was there.",
            {
                "key": _described("Such as 'note:auth'.", _KEY),
                "value": _described("Text, or any JSON value."),
                "scope": _described("USER is private, GLOBAL shared.", _SCOPE),
            },
            ["key", "value"],
            writes=True,
        ),
        _tool(
            FABRIC_QUERY,
            "List stored contexts",
            "Lists the newest contexts whose keys match a glob, each with the beginning of its"
            " value.",
            {
                "pattern": _described("Such as 'note:*'.", _KEY | {"default": "*"}),
                "scope": _described("Where to look.", _SCOPE),
                "limit": _described("How many.", _LIMIT),
            },
            [],
        ),
        _tool(
            FABRIC_SEARCH,
            "Search stored contexts",
            "Finds the contexts most similar to a text, each with the beginning of its value.",
            {
                "query": _described("What to look for.", _QUERY),
                "scope": _described("Where to look.", _SCOPE),
                "limit": _described("How many.", _LIMIT),
            },
            ["query"],
        ),
    )
}
"""Each tool by its name, as `tools/list` describes it."""

_KINDS = {
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}
_EXPECTED = {"string": "string", "integer": "number"}


def checked(tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of an optional tool, completed by the defaults.

    Raises:
        ArgumentError: One is missing, or does not match the tool's schema.
    """
    schema = OPTIONAL[tool]["inputSchema"]
    problems: list[str] = []
    taken: dict[str, Any] = {}
    for name, rule in schema["properties"].items():
        given = name in arguments and (arguments[name] is not None or "type" not in rule)
        if given:
            taken[name] = arguments[name]
            problems += [f"{name}: {problem}" for problem in _problems(arguments[name], rule)]
        elif name in schema["required"]:
            kind = _KINDS[type(arguments[name])] if name in arguments else "undefined"
            problems.append(f"{name}: {_unexpected(rule, kind)}")
        elif "default" in rule:
            taken[name] = rule["default"]
    if problems:
        raise ArgumentError(tool, tuple(problems))
    return taken


def _problems(value: object, rule: _Schema) -> Iterator[str]:
    """Yield the problem of one argument, if it has one."""
    kind, expected = _KINDS[type(value)], rule.get("type")
    if expected is not None and kind != _EXPECTED[expected]:
        yield _unexpected(rule, kind)
    elif isinstance(value, str) and expected is not None:
        yield from _text_problems(value, rule)
    elif isinstance(value, int | float):
        yield from _number_problems(value, rule)


def _unexpected(rule: _Schema, kind: str) -> str:
    expected = _EXPECTED.get(rule.get("type", ""), "a value")
    return f"Invalid input: expected {expected}, received {kind}"


def _text_problems(value: str, rule: _Schema) -> Iterator[str]:
    if "enum" in rule and value not in rule["enum"]:
        options = "|".join(f'"{option}"' for option in rule["enum"])
        yield f"Invalid option: expected one of {options}"
    elif len(value) < rule.get("minLength", 0):
        yield f"Too small: expected string to have >={rule['minLength']} characters"
    elif len(value) > rule.get("maxLength", len(value)):
        yield f"Too big: expected string to have <={rule['maxLength']} characters"


def _number_problems(value: float, rule: _Schema) -> Iterator[str]:
    least, most = rule.get("minimum", value), rule.get("maximum", value)
    if rule.get("type") == "integer" and value % 1:
        yield "Invalid input: expected int, received number"
    elif value < least:
        yield f"Too small: expected number to be >={least}"
    elif value > most:
        yield f"Too big: expected number to be <={most}"


LONGEST_VALUE = 100_000
"""Characters of the longest context, as JSON, that a call returns."""

BEGINNING = 200
"""Characters of a value, as JSON, in a list."""


class _NoContext(FabricError):
    """A context does not exist, or is too long to return."""


class ExtraTools:
    """Answers calls of the optional tools; the text of a failed call is its error."""

    def __init__(self, feedback: Feedback, contexts: ContextViews) -> None:
        """Give ratings to `feedback`, read and write `contexts`."""
        self._feedback = feedback
        self._contexts = contexts
        self._answering: dict[str, Callable[..., Awaitable[str]]] = {
            RECORD_FEEDBACK: self._rate,
            FABRIC_GET: self._get,
            FABRIC_SET: self._set,
            FABRIC_QUERY: self._query,
            FABRIC_SEARCH: self._search,
        }

    async def call(self, tool: str, given: Mapping[str, Any]) -> types.CallToolResult:
        """Answer a call of `tool`, which is one of these."""
        try:
            check_size(tool, given)
            text = await self._answering[tool](**checked(tool, given))
        except (FabricError, ValueError) as error:
            return _result(str(error), is_error=True)
        return _result(text)

    async def _rate(
        self,
        executionId: str,  # noqa: N803  # as the tool's schema names it
        rating: float,
        comment: str | None = None,
        corrections: str | None = None,
    ) -> str:
        effect = await self._feedback.give(executionId, int(rating), comment, corrections)
        return effect.summary

    async def _get(self, key: str, scope: str) -> str:
        context = await self._contexts.get(key, Scope(scope))
        if context is None:
            raise _NoContext(f"there is no {key!r} in {scope}")
        text = _json(entry_json(context))
        if len(text) > LONGEST_VALUE:
            raise _NoContext(
                f"{key!r} takes {len(text):,} characters, and a call returns {LONGEST_VALUE:,}"
            )
        return text

    async def _set(self, key: str, value: Json, scope: str) -> str:
        await self._contexts.set(key, value, Scope(scope))
        return f"stored {key!r} in {scope}"

    async def _query(self, pattern: str, scope: str, limit: float) -> str:
        return _listed(await self._contexts.query(pattern, Scope(scope), int(limit)))

    async def _search(self, query: str, scope: str, limit: float) -> str:
        return _listed(await self._contexts.search(query, Scope(scope), int(limit)))


def _result(text: str, *, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)], is_error=is_error
    )


def _listed(contexts: Sequence[Context]) -> str:
    return _json({"contexts": [_brief(context) for context in contexts]})


def _brief(context: Context) -> dict[str, Json]:
    """Return a context as a list shows it; text from outside is marked."""
    entry = entry_json(context)
    value = entry["value"] if isinstance(entry["value"], str) else _json(entry["value"])
    named = ("from", "notice", "key", "created_at")
    brief: dict[str, Json] = {name: entry[name] for name in named if name in entry}
    brief["beginning"] = value[:BEGINNING]
    return brief | ({"similarity": context.similarity} if isinstance(context, SearchMatch) else {})


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
