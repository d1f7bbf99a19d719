"""What one can ask to be told of when it changes. Values only.

A whole scope is a topic, a context in it, a library, and each list that there is one of.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from context7_fabric.fabric.context import Scope


class Listing(Enum):
    """A list that there is one of."""

    PROMPTS = "prompts"
    TOOLS = "tools"
    LIBRARIES = "libraries"


@dataclass(frozen=True, slots=True)
class OneContext:
    """The context under one key."""

    scope: Scope
    key: str


@dataclass(frozen=True, slots=True)
class OneLibrary:
    """What the registry knows of the library with this id (no version)."""

    library_id: str


Topic: TypeAlias = Listing | Scope | OneContext | OneLibrary
