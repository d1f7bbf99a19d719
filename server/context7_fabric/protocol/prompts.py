"""Prompts on the wire."""

from __future__ import annotations

import mcp_types as types

from context7_fabric.protocol.tools import Context
from context7_fabric.services.desk import Desk


class Prompts:
    """Lists prompts."""

    def __init__(self, desk: Desk) -> None:
        """Show the prompts of `desk`."""
        self._desk = desk

    async def list(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        """Return all prompts."""
        return types.ListPromptsResult(prompts=[])
