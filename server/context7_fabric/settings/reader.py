"""Typed values of the variables of an environment, by their declarations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field, fields
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, TypeVar

from context7_fabric.durations import parse_duration
from context7_fabric.errors import SettingError
from context7_fabric.relay.folders import (
    UnusablePath,
    cache_folder_of,
    home_of,
    written_out,
)
from context7_fabric.variables import PREFIX, VARIABLES

OFF = "off"
"""Value of `PROJECT` that switches pins off."""

_Group = TypeVar("_Group")

_NUMBER = re.compile(r"[0-9]{1,15}")
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*")


def declared(name: str) -> Any:  # noqa: ANN401  # the type is the field's
    """Return the dataclass field for the variable `name`; a value with a secret is not shown."""
    is_shown = VARIABLES[name][0] not in ("address", "secret")
    value = SettingsReader({}).value(name)
    return field(default=value, repr=is_shown, metadata={"variable": name})


class SettingsReader:
    """Typed access to the variables of one environment; an empty value counts as not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ

    def text(self, name: str) -> str | None:
        """Return a variable as it is written, None where it is not set."""
        return self.environ.get(PREFIX + name, "").strip() or None

    def value(self, name: str) -> Any:  # noqa: ANN401  # the declaration says which
        """Return the value of a variable or its default.

        Raises:
            SettingError: It cannot be used.
        """
        kind, default, _meaning = VARIABLES[name]
        text = self.text(name) or default
        if text is None:
            return None
        return choice(name, text, kind) if isinstance(kind, tuple) else _PARSERS[kind](name, text)

    def group(self, group: type[_Group], **others: object) -> _Group:
        """Return a dataclass with its declared fields read, but for the `others`.

        Raises:
            SettingError: A variable cannot be used.
        """
        read = {
            each.name: self.value(each.metadata["variable"])
            for each in fields(group)  # type: ignore[arg-type]  # no type says "a dataclass"
            if "variable" in each.metadata and each.name not in others
        }
        return group(**read, **others)

    def home(self) -> Path:
        """Return the home by the rule of the relay.

        Raises:
            SettingError: It cannot be used.
        """
        return _usable(home_of, self.environ)

    def cache_folder(self) -> Path:
        """Return the folder of what can be fetched again.

        Raises:
            SettingError: It cannot be used.
        """
        return _usable(cache_folder_of, self.environ)


def unusable(name: str, value: str, expected: str) -> SettingError:
    """Return the error of a variable, by its short name, whose value is not what is `expected`."""
    return SettingError(PREFIX + name, value, expected)


def is_host(text: str) -> bool:
    """Tell whether `text` is an IP address or may be a host's name."""
    try:
        ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return True


def choice(name: str, text: str, words: tuple[str, ...]) -> str:
    """Return `text` in lower case.

    Raises:
        SettingError: It is none of the `words`.
    """
    if text.lower() not in words:
        raise unusable(name, text.lower(), f"one of {', '.join(words)}")
    return text.lower()


def _path(name: str, text: str) -> Path:
    return _usable(written_out, PREFIX + name, text)


def _usable(find: Callable[..., str], *arguments: object) -> Path:
    try:
        return Path(find(*arguments))
    except UnusablePath as error:
        raise SettingError(error.variable, error.value, error.expected) from error


def _project(name: str, text: str) -> Path | None:
    """Return the folder of the project, None for none."""
    return None if text.lower() == OFF else _path(name, text)


def _switch(name: str, text: str) -> bool:
    return choice(name, text, ("on", "off")) == "on"


def _duration(name: str, text: str) -> float:
    seconds = parse_duration(text)
    if seconds is None:
        raise unusable(name, text, "a duration such as 90s, 10m, 6h or 1d")
    return seconds


def _number(name: str, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise unusable(name, text, "a whole number")
    return int(text)


def _count(name: str, text: str) -> int:
    return _number(name, text) or int(VARIABLES[name][1] or 0)


def _host(name: str, text: str) -> str:
    if not is_host(text):
        raise unusable(name, text, "an address or the name of a host")
    return text


def _hosts(name: str, text: str) -> frozenset[str]:
    hosts = frozenset(word.strip("[]").lower() for word in _words(text)) - {""}
    for host in hosts:
        if not is_host(host):
            raise unusable(name, host, "the name of a host")
    return hosts


def _origins(name: str, text: str) -> frozenset[str]:
    origins = frozenset(word.rstrip("/").lower() for word in _words(text)) - {""}
    for origin in origins:
        scheme, _, rest = origin.partition("://")
        if not scheme or not rest or set(rest) & set("/?#@*\\ "):
            raise unusable(name, origin, "an origin such as https://app.example or its port")
    return origins


def _networks(name: str, text: str) -> tuple[str, ...]:
    words = tuple(_words(text))
    for word in words:
        try:
            ip_network(word, strict=False)
        except ValueError as error:
            raise unusable(name, word, f"an address or a network ({error})") from error
    return words


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


_PARSERS: Mapping[str, Callable[[str, str], object]] = {
    **dict.fromkeys(("address", "secret", "text"), lambda _name, text: text),
    "count": _count,
    "duration": _duration,
    "host": _host,
    "hosts": _hosts,
    "networks": _networks,
    "number": _number,
    "origins": _origins,
    "path": _path,
    "project": _project,
    "switch": _switch,
}
"""Parsers of a variable by its kind."""
