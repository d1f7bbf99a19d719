"""Calls of our own tools: what somebody thinks of an answer, and the fabric's contexts.

These calls are not recorded as executions: they would be noise among the records of answers.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import mcp_types as types

from context7_fabric.call_log.feedback import Feedback
from context7_fabric.errors import FabricError
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.search import Match
from context7_fabric.protocol.arguments import check_size
from context7_fabric.protocol.optional_list import checked
from context7_fabric.services.contexts import Contexts
from context7_fabric.services.settings import (
    FABRIC_GET,
    FABRIC_QUERY,
    FABRIC_SEARCH,
    FABRIC_SET,
    RECORD_FEEDBACK,
)
from context7_fabric.services.showing import shown_entry

LONGEST_VALUE = 100_000
"""Characters of a context, as JSON, that one call returns."""

BEGINNING = 200
"""Characters of a value, as JSON, that a list shows."""


class _Refusal(FabricError):
    """What a call asks for cannot be given; the text says why."""


class OptionalTools:
    """Answers calls of the optional tools; a fault is told as the result's text."""

    def __init__(self, feedback: Feedback, contexts: Contexts) -> None:
        """Hand ratings to `feedback`, read and write `contexts`."""
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
        return effect.told

    async def _get(self, key: str, scope: str) -> str:
        context = await self._contexts.get(key, Scope(scope))
        if context is None:
            raise _Refusal(f"there is no {key!r} in {scope}")
        text = _json(shown_entry(context))
        if len(text) > LONGEST_VALUE:
            raise _Refusal(
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
    """Return a context as a list shows it: text from outside is marked, as it is in full."""
    told = shown_entry(context)
    value = told["value"] if isinstance(told["value"], str) else _json(told["value"])
    named = ("from", "notice", "key", "created_at")
    brief: dict[str, Json] = {name: told[name] for name in named if name in told}
    brief["beginning"] = value[:BEGINNING]
    return brief | ({"similarity": context.similarity} if isinstance(context, Match) else {})


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
