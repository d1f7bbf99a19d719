"""A relay's first line, read: who it means and whose window it is."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter

LONGEST = 2**20


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a relay says of itself; the window's environment may hold keys."""

    wish: str
    identity: dict[str, object]
    window: dict[str, str] = field(repr=False)
    directory: str = "/"
    api_key: str | None = field(default=None, repr=False)

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables that the window's settings are read from."""
        shared = self.identity.get("environment")
        return {**(shared if isinstance(shared, dict) else {}), **self.window}


_GREETING = TypeAdapter(Greeting)


def read_greeting(line: bytes) -> Greeting:
    """Return what `line`, a literal of Python, says.

    Raises:
        ValueError: It is none that a relay would say.
    """
    if len(line) > LONGEST:
        raise ValueError("the line is too long")
    try:
        return _GREETING.validate_python(ast.literal_eval(line.decode("ascii")))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("the line is no relay's") from error
