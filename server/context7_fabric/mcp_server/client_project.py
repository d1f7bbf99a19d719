"""Folder that a client works in: the one it was started in, else the first of its roots."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from context7_fabric.project.projects import Projects

log = logging.getLogger(__name__)

ROOTS_SECONDS: Final = 1.0
"""Longest wait for the roots of a client, once a connection."""

MOST_ROOTS: Final = 10
"""Roots of a client that are looked at."""

LONGEST_ROOT: Final = 4096

_ROOTS: Final = types.ListRootsRequest()


@dataclass
class ClientProject:
    """Folder of one client; `directory` is empty if no pins count.

    Where that folder is in no project, a client of the older protocol is asked for its roots once,
    if it says that it has any and `asks_roots` is set.
    """

    projects: Projects
    directory: str = ""
    asks_roots: bool = False

    def look(self) -> None:
        """Begin to read the project, so that the first call need not wait for that."""
        if self.directory:
            self.projects.look(self.directory)

    async def of(self, ctx: ServerRequestContext[str, Any]) -> str:
        """Return the folder that the client of a request works in."""
        if self.asks_roots and self.directory:
            self.asks_roots = False
            found = await self.projects.of(self.directory)
            if not found.folders and _has_roots(ctx):
                await self._use_roots(ctx)
        return self.directory

    async def _use_roots(self, ctx: ServerRequestContext[str, Any]) -> None:
        try:
            with anyio.move_on_after(ROOTS_SECONDS):
                listed = await ctx.session.send_request(_ROOTS, types.ListRootsResult)
                for root in listed.roots[:MOST_ROOTS]:
                    folder = folder_of(str(root.uri))
                    if folder and (await self.projects.of(folder)).folders:
                        self.directory = folder
                        return
        except (MCPError, ValueError, anyio.ClosedResourceError) as error:
            log.debug("the client did not name its roots: %s", error)


def _has_roots(ctx: ServerRequestContext[str, Any]) -> bool:
    params = ctx.session.client_params
    is_old = ctx.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS
    return is_old and params is not None and params.capabilities.roots is not None


def folder_of(uri: str) -> str | None:
    """Return the path of a `file://` address of this machine, None for any other address."""
    try:
        parts = urlsplit(uri) if len(uri) <= LONGEST_ROOT else None
    except ValueError:
        return None
    if parts is None or parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        return None
    path = unquote(parts.path)
    return path if path.startswith("/") and "\0" not in path else None
