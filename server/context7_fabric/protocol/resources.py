"""Resources on the wire."""

from __future__ import annotations

import mcp_types as types

from context7_fabric.protocol.tools import Context
from context7_fabric.services.desk import Desk


class Resources:
    """Lists resources and their templates."""

    def __init__(self, desk: Desk, principal: str) -> None:
        """Show what `desk` knows and `principal` may read."""
        self._desk = desk
        self._principal = principal

    async def list(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """Return the resources that have one address."""
        return types.ListResourcesResult(resources=[])

    async def templates(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """Return the resources that have an address by parameters."""
        return types.ListResourceTemplatesResult(resource_templates=[])
