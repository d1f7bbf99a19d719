"""What the services go by, as plain values; lengths of time are in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from context7_fabric.errors import SettingError
from context7_fabric.upstream.generations import GET_DOCS, QUERY_DOCS, RESOLVE

DAY = 86400.0

Meta = Literal["brief", "full", "off"]
"""Extent of the `_meta` of an answer over MCP: `brief` leaves out what a model has no use for."""

METAS: tuple[Meta, ...] = get_args(Meta)


@dataclass(frozen=True, slots=True)
class FreshnessSettings:
    """How long what was stored may be served.

    `library_ttl` None leaves it to the seed file for its libraries, and is 30 days for others.
    """

    docs_fresh: float = 3 * DAY
    docs_stale: float = 30 * DAY
    stale_on_error: float = 365 * DAY
    library_ttl: float | None = None
    patience: float = 4.0
    negative_ttl: float = 600.0


@dataclass(frozen=True, slots=True)
class ExecutionSettings:
    """How long records of calls are kept (0: none are made), and how many at most."""

    keep: float = 7 * DAY
    most: int = 10_000


DEFAULT_TOOLS = frozenset({RESOLVE, QUERY_DOCS, GET_DOCS})
"""The tools that are served where no setting says otherwise: those of both generations."""

RECORD_FEEDBACK = "record-feedback"
FABRIC_GET, FABRIC_SET = "fabric-get", "fabric-set"
FABRIC_QUERY, FABRIC_SEARCH = "fabric-query", "fabric-search"
ADDED_TOOLS = {
    "+feedback": frozenset({RECORD_FEEDBACK}),
    "+fabric": frozenset({FABRIC_GET, FABRIC_SET, FABRIC_QUERY, FABRIC_SEARCH}),
}
"""What each word adds to the tools that are served."""


def chosen_tools(words: str) -> frozenset[str]:
    """Return the names of the tools to serve, as CONTEXT7_FABRIC_TOOLS tells by `words`.

    Names select exactly those tools, words with a plus add to them; without a name to the default.

    Raises:
        SettingError: A word is none of these.
    """
    chosen = frozenset(word.strip() for word in words.split(",")) - {""}
    known = DEFAULT_TOOLS.union(*ADDED_TOOLS.values())
    unknown = chosen - known - set(ADDED_TOOLS)
    if unknown:
        listed = ", ".join((*sorted(known), *ADDED_TOOLS))
        raise SettingError("CONTEXT7_FABRIC_TOOLS", min(unknown), f"one of {listed}")
    added = frozenset[str]().union(*(ADDED_TOOLS.get(word, frozenset()) for word in chosen))
    return (chosen & known or DEFAULT_TOOLS) | added
