"""Typed access to the variables of an environment."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from context7_fabric.durations import parse_duration
from context7_fabric.errors import SettingError
from context7_fabric.relay.folders import UnusablePath, home_of, written_out

_Choice = TypeVar("_Choice", bound=str)

_WHOLE = re.compile(r"[0-9]{1,15}")


class SettingsReader:
    """Typed access to the variables of one environment; an empty value counts as not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ

    def text(self, name: str) -> str | None:
        """Return a variable by its short name."""
        return self.environ.get(f"CONTEXT7_FABRIC_{name}", "").strip() or None

    def path(self, name: str) -> Path | None:
        """Return a path with the user's folder written out.

        Raises:
            SettingError: It cannot be written out. So say all below of what they cannot use.
        """
        text = self.text(name)
        try:
            return Path(written_out(f"CONTEXT7_FABRIC_{name}", text)) if text else None
        except UnusablePath as error:
            raise SettingError(error.variable, error.value, error.expected) from error

    def home(self) -> Path:
        """Return the home, as the relay finds it."""
        try:
            return Path(home_of(self.environ))
        except UnusablePath as error:
            raise SettingError(error.variable, error.value, error.expected) from error

    def choice(self, name: str, allowed: tuple[_Choice, ...], default: _Choice) -> _Choice:
        """Return one of the words `allowed`, in lower case."""
        text = (self.text(name) or default).lower()
        for each in allowed:
            if text == each:
                return each
        raise unusable(name, text, f"one of {', '.join(allowed)}")

    def whole(self, name: str) -> int | None:
        """Return a whole number."""
        text = self.text(name)
        if text is None or _WHOLE.fullmatch(text):
            return int(text) if text else None
        raise unusable(name, text, "a whole number")

    def duration(self, name: str, default: float) -> float:
        """Return a length of time in seconds."""
        text = self.text(name)
        if text is None:
            return default
        return _parsed(name, text, parse_duration, "a duration such as 90s, 10m, 6h or 1d")


def _parsed(name: str, text: str, parse: Callable[[str], float | None], expected: str) -> float:
    value = parse(text)
    if value is None:
        raise unusable(name, text, expected)
    return value


def unusable(name: str, value: str, expected: str) -> SettingError:
    """Return the error of a variable, by its short name, whose value is not what is `expected`."""
    return SettingError(f"CONTEXT7_FABRIC_{name}", value, expected)
