"""Editing of one table in TOML by splices. Pure.

A scanner finds the statements of a table (`[mcp_servers.NAME]` with its sub-tables, or a key of
`[mcp_servers]`); an edit replaces them and leaves every other character as it was, comments of the
next table included. `tomllib` parses the text before and each result after, and a result that is
not the object that it has to be is refused. The grammar is that of toml.io/en/v1.0.0.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any, NoReturn

from context7_fabric.errors import ConfigurationSyntaxError

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t\r\n]+|#[^\r\n]*)*")
_WORD = re.compile(r"[^\s#,\]}]+")
_REST = re.compile(r"[^\r\n]*(?:\r?\n|\Z)")
_STRING = re.compile(
    r'"""(?:[^\\]|\\[\s\S])*?"{3,5}(?!")'
    r"|'''[\s\S]*?'{3,5}(?!')"
    r'|"(?:[^"\\\r\n]|\\.)*"'
    r"|'[^'\r\n]*'"
)
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class _Statement:
    """A header or a pair: the whole path of its key, its span, and that of a pair's value."""

    path: tuple[str, ...]
    start: int
    end: int
    is_header: bool
    value: tuple[int, int] = (0, 0)


class TomlText:
    """A configuration in TOML; each edit returns the new text."""

    def __init__(self, text: str) -> None:
        """Parse `text`.

        Raises:
            ConfigurationSyntaxError: It is no TOML.
        """
        self.text = text
        self.value: dict[str, Any] = _parsed(text)
        self._statements = list(_scan(text))

    def entries(self, container: Sequence[str]) -> Mapping[str, Any]:
        """Return the entries of a container by name; none where there is no container.

        Raises:
            ConfigurationSyntaxError: A part of the path is no table.
        """
        found: Any = self.value
        for key in container:
            found = found.get(key, {})
            if not isinstance(found, dict):
                self._refuse((key,), f"{key!r} is no table")
        return found  # type: ignore[no-any-return]  # each step was one

    def with_entry(self, container: Sequence[str], name: str, entry: Mapping[str, Any]) -> str:
        """Return the text with an entry set; it keeps its place and header if there was one.

        Raises:
            ConfigurationSyntaxError: As `entries`, or its form cannot be edited.
        """
        return self._with(container, name, entry, None)

    def put_back(self, container: Sequence[str], name: str, before: TomlText | None) -> str:
        """Return the text with the entry as it was written in `before`, or cut if it had none.

        Raises:
            ConfigurationSyntaxError: As `with_entry`.
        """
        old = before.entries(container).get(name) if before else None
        if before is None or old is None:
            return self._without(container, name)
        return self._with(container, name, old, before.written(container, name))

    def written(self, container: Sequence[str], name: str) -> str | None:
        """Return the lines of an entry; None if they are not one table with its sub-tables."""
        spans = self._spans((*container, name))
        first = self._statement_at(spans[0][0]) if len(spans) == 1 else None
        return self.text[slice(*spans[0])] if first is not None and first.is_header else None

    def _without(self, container: Sequence[str], name: str) -> str:
        if name not in self.entries(container):
            return self.text
        text = self._cut(self._spans((*container, name)))
        return self._checked(text if text.strip() else "", container, name, None)

    def _with(
        self, container: Sequence[str], name: str, entry: Mapping[str, Any], raw: str | None
    ) -> str:
        self.entries(container)
        path = (*container, name)
        spans = self._spans(path)
        first = self._statement_at(spans[0][0]) if spans else None
        if first is None or first.path != path:
            block = raw or self._ended(f"[{'.'.join(map(_key, path))}]\n{_below(path, entry)}")
            text = self._appended(self._cut(spans), block)
        elif first.is_header:
            header = self.text[first.start : first.end].rstrip("\r\n") + self._line_end()
            block = raw or header + self._ended(_below(path, entry))
            text = self._cut(spans[1:])
            text = text[: spans[0][0]] + block + text[spans[0][1] :]
        else:
            start, end = first.value
            text = self._cut(spans[1:])
            text = text[:start] + _inline(entry) + text[end:]
        return self._checked(text, container, name, entry)

    def _ended(self, lines: str) -> str:
        return lines.replace("\n", self._line_end())

    def _appended(self, text: str, block: str) -> str:
        end = self._line_end()
        if text and not text.endswith("\n"):
            text += end
        return text + (end if text.strip() else "") + block

    def _checked(
        self, text: str, container: Sequence[str], name: str, entry: Mapping[str, Any] | None
    ) -> str:
        """Return `text` if it has the values that it has to have."""
        expected = _copied(self.value)
        inner = expected
        for key in container:
            inner = inner.setdefault(key, {})
        inner.pop(name, None)
        if entry is not None:
            inner[name] = entry
        try:
            is_right = _filled(_parsed(text)) == _filled(expected)
        except ConfigurationSyntaxError:
            is_right = False
        if not is_right:
            self._refuse((*container, name), "it has a form that cannot be edited: edit it by hand")
        return text

    def _spans(self, path: tuple[str, ...]) -> list[tuple[int, int]]:
        """Return the spans of an entry's statements; neighbours are one span."""
        spans: list[tuple[int, int]] = []
        was_ours = False
        for each in self._statements:
            is_ours = each.path[: len(path)] == path
            if is_ours and was_ours:
                spans[-1] = (spans[-1][0], each.end)
            elif is_ours:
                spans.append((each.start, each.end))
            was_ours = is_ours
        return spans

    def _statement_at(self, start: int) -> _Statement | None:
        return next((each for each in self._statements if each.start == start), None)

    def _cut(self, spans: Sequence[tuple[int, int]]) -> str:
        text = self.text
        for start, end in reversed(spans):
            head = text[:start]
            if not text[end:].strip():
                head = re.sub(r"(\r?\n)\r?\n\Z", r"\1", head)
            text = head + text[end:]
        return text

    def _line_end(self) -> str:
        first = self.text.find("\n")
        return "\r\n" if first > 0 and self.text[first - 1] == "\r" else "\n"

    def _refuse(self, path: tuple[str, ...], reason: str) -> NoReturn:
        found = (
            each.start
            for each in self._statements
            if all(one == other for one, other in zip(each.path, path, strict=False))
        )
        line = self.text.count("\n", 0, next(found, 0)) + 1
        raise ConfigurationSyntaxError(reason, line, 1)


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = str(error)
    found = _PLACE.search(reason)
    line, column = (int(each or 0) for each in found.groups()) if found else (1, 1)
    last = text.count("\n") + 1
    raise ConfigurationSyntaxError(_PLACE.sub("", reason), line or last, column or 1)


def _scan(text: str) -> Iterator[_Statement]:
    """Yield the statements of a text that is valid."""
    at, table = _after(_BETWEEN, text, 0), ()  # type: tuple[int, tuple[str, ...]]
    while at < len(text):
        start = text.rfind("\n", 0, at) + 1
        if text[at] == "[":
            table, end = _read_key(text, at + 1 + (text[at : at + 2] == "[["))
            value = None
        else:
            key, end = _read_key(text, at)
            begin = _after(_SPACE, text, end + 1)
            end = _value_end(text, begin)
            value = (*table, *key), (begin, end)
        end = _after(_REST, text, end)
        if value is None:
            yield _Statement(table, start, end, is_header=True)
        else:
            yield _Statement(value[0], start, end, is_header=False, value=value[1])
        at = _after(_BETWEEN, text, end)


def _read_key(text: str, at: int) -> tuple[tuple[str, ...], int]:
    """Return the parts of a dotted key, and the place after it and its blanks."""
    parts: list[str] = []
    while True:
        at = _after(_SPACE, text, at)
        found = _BARE.match(text, at) or _STRING.match(text, at)
        if found is None:
            return tuple(parts), at
        is_bare = _BARE.fullmatch(found[0]) is not None
        parts.append(found[0] if is_bare else tomllib.loads(f"key = {found[0]}")["key"])
        at = _after(_SPACE, text, found.end())
        if text[at : at + 1] != ".":
            return tuple(parts), at
        at += 1


def _value_end(text: str, at: int) -> int:
    """Return the place after the value that begins at `at`."""
    depth = 0
    while at < len(text):
        string = _STRING.match(text, at)
        if string is not None:
            at = string.end()
        elif text[at] in "[{":
            depth, at = depth + 1, at + 1
        elif text[at] in "]}":
            depth, at = depth - 1, at + 1
        elif depth and text[at] in "# \t\r\n,=":
            at = _after(_BETWEEN, text, at) if text[at] not in ",=" else at + 1
        else:
            at = max(_after(_WORD, text, at), at + 1)
        if not depth:
            return at
    return at


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _below(path: Sequence[str], entry: Mapping[str, Any]) -> str:
    """Return the lines of a table below its header, its sub-tables included."""
    pairs = {key: each for key, each in entry.items() if not isinstance(each, dict)}
    lines = "".join(f"{_key(key)} = {_inline(each)}\n" for key, each in pairs.items())
    for key, each in entry.items():
        if key not in pairs:
            inner = (*path, key)
            lines += f"\n[{'.'.join(map(_key, inner))}]\n{_below(inner, each)}"
    return lines


def _inline(value: object) -> str:
    """Return a value on one line."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_inline(each)}" for key, each in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date | time) else repr(value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _inline(key)


def _copied(value: Any) -> Any:  # noqa: ANN401  # whatever TOML can say
    """Return a copy of tables; what they hold is shared."""
    return {key: _copied(each) for key, each in value.items()} if isinstance(value, dict) else value


def _filled(value: Any) -> Any:  # noqa: ANN401  # whatever TOML can say
    """Return a value without its empty tables, which the text of an entry need not name."""
    if not isinstance(value, dict):
        return value
    inner = {key: _filled(each) for key, each in value.items()}
    return {key: each for key, each in inner.items() if each != {}}
