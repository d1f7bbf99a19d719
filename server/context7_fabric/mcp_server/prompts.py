"""Prompts on the wire."""

from __future__ import annotations

import mcp_types as types
from mcp.shared.exceptions import MCPError

from context7_fabric.mcp_server.tools import HandlerContext
from context7_fabric.services import Services
from context7_fabric.views.prompts import LONGEST, Prompt, fill

VERSION_KEY = "context7-fabric/version"
"""Where a listed prompt's `_meta` has its version."""

LONGEST_FILLED = 1_000_000
"""Characters that a prompt may have with its arguments filled in."""

_SHOWN = 500
"""Characters of an unknown name that the error repeats."""


class Prompts:
    """Lists prompts and gives them out."""

    def __init__(self, desk: Services) -> None:
        """Show the prompts of `desk`."""
        self._book = desk.prompts

    async def list(
        self, _ctx: HandlerContext, params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        """Return a page of prompts; the cursor to the next is the last name of this one."""
        prompts, further = await self._book.page(params.cursor if params else None)
        listed = [_listed(prompt) for prompt in prompts]
        return types.ListPromptsResult(prompts=listed, next_cursor=further)

    async def get(
        self, _ctx: HandlerContext, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        """Return a prompt's text, with the arguments in place, as a message of the user.

        Raises:
            MCPError: There is no such prompt, an argument is missing, or it is too long.
        """
        prompt = await self._book.find(params.name)
        if prompt is None:
            raise MCPError(types.INVALID_PARAMS, f"Prompt {params.name[:_SHOWN]} not found")
        content = types.TextContent(type="text", text=_filled(prompt, params.arguments or {}))
        message = types.PromptMessage(role="user", content=content)
        return types.GetPromptResult(description=prompt.description, messages=[message])


def _listed(prompt: Prompt) -> types.Prompt:
    arguments = [
        types.PromptArgument(name=each.name, description=each.description or None, required=True)
        for each in prompt.arguments
    ]
    return types.Prompt(
        name=prompt.name,
        title=prompt.title,
        description=prompt.description,
        arguments=arguments,
        _meta={VERSION_KEY: prompt.version} if prompt.version else None,
    )


def _filled(prompt: Prompt, given: dict[str, str]) -> str:
    if prompt.size > LONGEST:
        raise _wrong(prompt, f"is too long: it takes {prompt.size:,} bytes, and {LONGEST:,} may be")
    missing = [each.name for each in prompt.arguments if each.name not in given]
    if missing:
        raise _wrong(prompt, f"lacks {', '.join(missing)}")
    text = fill(prompt.text, given, LONGEST_FILLED)
    if text is None:
        raise _wrong(
            prompt, f"gets too long with these arguments: {LONGEST_FILLED:,} characters may be"
        )
    return text


def _wrong(prompt: Prompt, problem: str) -> MCPError:
    return MCPError(types.INVALID_PARAMS, f"Prompt {prompt.name} {problem}")
