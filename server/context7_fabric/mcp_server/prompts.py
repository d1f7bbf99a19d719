"""MCP handlers of prompts."""

from __future__ import annotations

import mcp_types as types
from mcp.shared.exceptions import MCPError

from context7_fabric.mcp_server.tools import HandlerContext
from context7_fabric.services import Services
from context7_fabric.views.prompts import LONGEST, Prompt, fill

VERSION_KEY = "context7-fabric/version"
"""Key of a listed prompt's version in its `_meta`."""

LONGEST_FILLED = 1_000_000
"""Characters of a prompt with its arguments filled in."""

_SHOWN = 500
"""Characters of an unknown name that the error repeats."""


class Prompts:
    """Lists prompts and fills them in."""

    def __init__(self, services: Services) -> None:
        """Serve the prompts of `services`."""
        self._prompts = services.prompts

    async def list(
        self, _ctx: HandlerContext, params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        """Return a page of prompts; the cursor to the next is the last name of this one."""
        prompts, cursor = await self._prompts.page(params.cursor if params else None)
        return types.ListPromptsResult(prompts=list(map(_as_type, prompts)), next_cursor=cursor)

    async def get(
        self, _ctx: HandlerContext, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        """Return a prompt's text, with the arguments filled in, as a message of the user.

        Raises:
            MCPError: There is no such prompt, an argument is missing, or it is too long.
        """
        prompt = await self._prompts.find(params.name)
        if prompt is None:
            raise MCPError(types.INVALID_PARAMS, f"Prompt {params.name[:_SHOWN]} not found")
        content = types.TextContent(type="text", text=_filled(prompt, params.arguments or {}))
        message = types.PromptMessage(role="user", content=content)
        return types.GetPromptResult(description=prompt.description, messages=[message])


def _as_type(prompt: Prompt) -> types.Prompt:
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
        raise _error(prompt, f"is too long: it takes {prompt.size:,} bytes, and {LONGEST:,} may be")
    missing = [each.name for each in prompt.arguments if each.name not in given]
    if missing:
        raise _error(prompt, f"lacks {', '.join(missing)}")
    text = fill(prompt.text, given, LONGEST_FILLED)
    if text is None:
        limit = f"{LONGEST_FILLED:,} characters may be"
        raise _error(prompt, f"gets too long with these arguments: {limit}")
    return text


def _error(prompt: Prompt, problem: str) -> MCPError:
    return MCPError(types.INVALID_PARAMS, f"Prompt {prompt.name} {problem}")
