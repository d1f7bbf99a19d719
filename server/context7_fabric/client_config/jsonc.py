"""Editing of one entry in JSON, with or without comments, by splices. Pure.

The scanner finds spans of the text; an edit inserts, replaces or cuts text there and leaves every
other character as it was. The grammar is RFC 8259 plus, by dialect, the comments and trailing
commas of microsoft/node-jsonc-parser. Each result is parsed again and compared with the object
that it has to be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from context7_fabric.client_config.clients import Dialect
from context7_fabric.errors import ConfigurationSyntaxError

_BLANKS: Final = " \t\r\n"
_SPACE = re.compile(r"[ \t\r\n]*")
_TRIVIA = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*[\s\S]*?\*/)*")
_COMMENT = re.compile(r"//[^\r\n]*|/\*[\s\S]*?\*/")
_STRING = re.compile(r'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"')
_COMMENT_OR_STRING = re.compile(rf'"[^"\\]*(?:\\.[^"\\]*)*"|{_COMMENT.pattern}')
_STRUCTURE = re.compile(rf"{_COMMENT_OR_STRING.pattern}|[{{}}\[\]]")
_SCALAR = re.compile(
    r"(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![\w.+-])"
)
_INDENT = re.compile(r"^([ \t]+)[^ \t\r\n]", re.MULTILINE)
_DEEPEST: Final = 200
"""Nesting up to which a file is read; a client's own has a few levels."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A value and its span."""

    start: int
    end: int
    value: Any


@dataclass(frozen=True, slots=True)
class _Member:
    key: str
    start: int
    value: _Node


class JsonText:
    """A configuration in a dialect of JSON; each edit returns the new text."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        """Parse `text`; a blank one stands for an empty object.

        Raises:
            ConfigurationSyntaxError: It is not in the dialect.
        """
        self.text = text if text.strip(_BLANKS) else "{}\n"
        self._dialect = dialect
        self._known: dict[int, list[_Member]] = {}
        value, start = _value_of(self.text, dialect), self._after_trivia(0)
        self._root = _Node(start, _end_of(self.text, start), value)

    @property
    def value(self) -> Any:  # noqa: ANN401  # whatever JSON can say
        """The whole value."""
        return self._root.value

    def entries(self, container: Sequence[str]) -> Mapping[str, Any]:
        """Return the entries of a container by name; none where there is no container.

        Raises:
            ConfigurationSyntaxError: A part of the path is no object, or is there twice.
        """
        found = self._walk(container)
        return found[-1].value if len(found) > len(container) else {}

    def with_entry(self, container: Sequence[str], name: str, entry: object) -> str:
        """Return the text with an entry set; it keeps its place if there was one.

        Raises:
            ConfigurationSyntaxError: As `entries`, or the entry is there twice.
        """
        return self._with(container, name, entry, None)

    def put_back(self, container: Sequence[str], name: str, before: JsonText | None) -> str:
        """Return the text with the entry as it was written in `before`, or cut if it had none.

        Objects of the path that `before` had not and that are left empty are cut as well.

        Raises:
            ConfigurationSyntaxError: As `with_entry`.
        """
        if before is None:
            return self._without(container, name, 0)
        raw = before.written(container, name)
        if raw is not None:
            return self._with(container, name, before.entries(container)[name], raw)
        return self._without(container, name, before.missing(container))

    def written(self, container: Sequence[str], name: str) -> str | None:
        """Return an entry as it is written, None if there is none."""
        found = self._walk(container)
        member = self._member(found[-1], name) if len(found) > len(container) else None
        return self._written(member.value) if member else None

    def missing(self, container: Sequence[str]) -> int:
        """Return how many objects of the path to a container are not there."""
        return len(container) + 1 - len(self._walk(container))

    def _without(self, container: Sequence[str], name: str, created: int) -> str:
        """Return the text without an entry, and without the last `created` objects if empty."""
        found = self._walk(container)
        if len(found) <= len(container) or self._member(found[-1], name) is None:
            return self.text
        result = JsonText(self._cut(found[-1], name), self._dialect)
        expected = {key: each for key, each in found[-1].value.items() if key != name}
        self._check(result, container, expected)
        for depth in range(len(container) - 1, len(container) - 1 - created, -1):
            if result.written(container[:depth], container[depth]) != "{}":
                break
            result = JsonText(result.cut(container[:depth], container[depth]), self._dialect)
        return result.text

    def cut(self, container: Sequence[str], name: str) -> str:
        """Return the text without a member that is there; comments around it stay."""
        return self._cut(self._walk(container)[-1], name)

    def _with(self, container: Sequence[str], name: str, entry: object, raw: str | None) -> str:
        found = self._walk(container)
        keys = [*container[len(found) - 1 :], name]
        old = self._member(found[-1], keys[0])
        if old is not None:
            text = self._replaced(old, entry, raw)
        else:
            nested, raw = entry, raw if len(keys) == 1 else None
            for key in reversed(keys[1:]):
                nested = {key: nested}
            text = self._inserted(found[-1], keys[0], nested, raw)
        expected = {**self.entries(container), name: entry}
        self._check(JsonText(text, self._dialect), container, expected)
        return text

    def _check(self, result: JsonText, container: Sequence[str], expected: object) -> None:
        """Compare a result with this text: all values outside the container, and those in it."""
        same = _without(result.value, container) == _without(self.value, container)
        if not same or result.entries(container) != expected:
            _refuse(self.text, 0, "it cannot be edited here: edit it by hand")

    def _replaced(self, old: _Member, entry: object, raw: str | None) -> str:
        is_inline = not self._is_line_start(old.start) and "\n" not in self._written(old.value)
        base = self._indent_of_line(old.start)
        new = raw if raw is not None else self._rendered(entry, base, is_inline=is_inline)
        return self.text[: old.value.start] + new + self.text[old.value.end :]

    def _inserted(self, node: _Node, key: str, value: object, raw: str | None) -> str:
        text, close = self.text, node.end - 1
        tail = len(text[:close].rstrip(_BLANKS))
        gap = text[tail:close]
        members = self._members(node)
        if not members:
            base = self._indent_of_line(node.start)
            member = self._as_member(key, value, raw, base + self._unit(), is_inline=False)
            end = gap if "\n" in gap and tail > node.start + 1 else self._line_end() + base
            return text[:tail] + self._line_end() + member + end + text[close:]
        last = members[-1].value.end
        has_comma = text[self._after_trivia(last)] == ","
        is_inline = not re.search(r"[\r\n]", text[node.start : members[0].start] + text[last:close])
        indent = "" if is_inline else self._indent_of(node, members[0].start)
        member = self._as_member(key, value, raw, indent, is_inline=is_inline)
        separator = " " if is_inline else self._line_end()
        before, between = text[:last] + ("" if has_comma else ","), text[last:tail]
        return before + between + separator + member + ("," * has_comma) + text[tail:]

    def _cut(self, node: _Node, name: str) -> str:
        text = self.text
        members = self._members(node)
        index = next(i for i, each in enumerate(members) if each.key == name)
        start, end = members[index].start, members[index].value.end
        begin = members[index - 1].value.end if index else node.start + 1
        kept, rest = text[begin:start].rstrip(_BLANKS), text[end:]
        comma = self._after_trivia(end)
        if text[comma] == ",":
            rest = text[end:comma] + text[comma + 1 :]
        elif index:
            comma = self._after_trivia(begin) - begin
            kept = kept[:comma] + kept[comma + 1 :]
        elif not kept:
            rest = rest.lstrip(_BLANKS) if rest.lstrip(_BLANKS).startswith("}") else rest
        last = (_COMMENT.findall(kept) or [""])[-1]
        is_open = last.startswith("//") and kept.endswith(last)
        if is_open and rest.lstrip(" \t")[:1] not in "\r\n":
            rest = self._line_end() + rest
        return text[:begin] + kept + rest

    def _walk(self, container: Sequence[str]) -> list[_Node]:
        """Return the objects from the root to a container, or to the last that is there."""
        found = [self._object(self._root, "the file")]
        for key in container:
            member = self._member(found[-1], key)
            if member is None:
                break
            found.append(self._object(member.value, repr(key)))
        return found

    def _object(self, node: _Node, name: str) -> _Node:
        if not isinstance(node.value, dict):
            _refuse(self.text, node.start, f"{name} is no object")
        return node

    def _member(self, node: _Node, key: str) -> _Member | None:
        found = [each for each in self._members(node) if each.key == key]
        if len(found) > 1:
            _refuse(self.text, found[1].start, f"{key!r} is there twice")
        return found[0] if found else None

    def _members(self, node: _Node) -> list[_Member]:
        if node.start not in self._known:
            self._known[node.start] = _members(self.text, node)
        return self._known[node.start]

    def _as_member(
        self, key: str, value: object, raw: str | None, indent: str, *, is_inline: bool
    ) -> str:
        written = raw if raw is not None else self._rendered(value, indent, is_inline=is_inline)
        return f"{indent}{json.dumps(key, ensure_ascii=False)}: {written}"

    def _rendered(self, value: object, base: str, *, is_inline: bool) -> str:
        if is_inline:
            return json.dumps(value, ensure_ascii=False)
        lines = json.dumps(value, ensure_ascii=False, indent=self._unit()).split("\n")
        return (self._line_end() + base).join(lines)

    def _indent_of(self, node: _Node, first: int) -> str:
        """Return the indentation of an object's members, of which one begins at `first`."""
        if self._is_line_start(first):
            return self._indent_of_line(first)
        return self._indent_of_line(node.start) + self._unit()

    def _line_start(self, at: int) -> int:
        return max(self.text.rfind("\n", 0, at), self.text.rfind("\r", 0, at)) + 1

    def _is_line_start(self, at: int) -> bool:
        return not self.text[self._line_start(at) : at].strip(_BLANKS)

    def _indent_of_line(self, at: int) -> str:
        line = self.text[self._line_start(at) : at]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def _unit(self) -> str:
        members = self._members(self._root)
        if members and self._is_line_start(members[0].start):
            return self._indent_of_line(members[0].start) or "  "
        found = _INDENT.search(self.text)
        return found[1] if found else "  "

    def _line_end(self) -> str:
        first = self.text.find("\n")
        return "\r\n" if first > 0 and self.text[first - 1] == "\r" else "\n"

    def _written(self, node: _Node) -> str:
        return self.text[node.start : node.end]

    def _after_trivia(self, at: int) -> int:
        return _after(_TRIVIA, self.text, at)


def _value_of(text: str, dialect: Dialect) -> Any:  # noqa: ANN401  # whatever JSON can say
    """Return the value of a text: by Python's parser, and by ours for all that it refuses.

    Raises:
        ConfigurationSyntaxError: The text is not in the dialect.
    """
    bare = text if dialect is Dialect.JSON else _COMMENT_OR_STRING.sub(_blanked, text)
    try:
        return json.loads(bare, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return _Scanner(text, dialect).document()


def _blanked(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith('"') else " "


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _members(text: str, node: _Node) -> list[_Member]:
    """Return the members of an object in a valid text."""
    members: list[_Member] = []
    at = node.start + 1
    while (at := _after(_TRIVIA, text, at)) < node.end - 1:
        if text[at] == ",":
            at += 1
            continue
        colon = _after(_TRIVIA, text, _end_of(text, at))
        key, start = json.loads(text[at : _end_of(text, at)]), _after(_TRIVIA, text, colon + 1)
        end = _end_of(text, start)
        members.append(_Member(key, at, _Node(start, end, node.value[key])))
        at = end
    return members


def _end_of(text: str, at: int) -> int:
    """Return the place after the value that begins at `at` in a valid text."""
    if text[at] not in "{[":
        return _after(_STRING if text[at] == '"' else _SCALAR, text, at)
    depth = 0
    for found in _STRUCTURE.finditer(text, at):
        sign = found[0]
        depth += (sign in "{[") - (sign in "}]")
        if not depth:
            return found.end()
    return len(text)


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


class _Scanner:
    """Parser of all dialects, which gives the place of a fault."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self._text = text
        self._trivia = _SPACE if dialect is Dialect.JSON else _TRIVIA
        self._may_trail = dialect is Dialect.JSONC
        self._at = 0

    def document(self) -> object:
        """Return the value of the text."""
        self._skip()
        value = self._value(0)
        self._skip()
        if self._at < len(self._text):
            self._fail("there is more after the end of the value")
        return value

    def _value(self, depth: int) -> object:
        sign = self._sign()
        if depth > _DEEPEST:
            self._fail(f"it has more than {_DEEPEST} levels")
        if sign == "{":
            return self._object(depth)
        if sign == "[":
            return self._array(depth)
        return self._string() if sign == '"' else self._scalar()

    def _object(self, depth: int) -> dict[str, object]:
        value: dict[str, object] = {}
        is_first = True
        while self._goes_on("}", is_first=is_first):
            is_first = False
            key = self._string()
            self._skip()
            if self._sign() != ":":
                self._fail("a colon is missing")
            self._at += 1
            self._skip()
            value[key] = self._value(depth + 1)
        return value

    def _array(self, depth: int) -> list[object]:
        value: list[object] = []
        while self._goes_on("]", is_first=not value):
            value.append(self._value(depth + 1))
        return value

    def _goes_on(self, close: str, *, is_first: bool) -> bool:
        """Go to the next member; return False after the closing bracket."""
        if is_first:
            self._at += 1
            self._skip()
        else:
            self._skip()
            if self._sign() not in (",", close):
                self._fail(f"a comma or {close!r} is missing")
            if self._sign() == ",":
                self._at += 1
                self._skip()
                if self._sign() == close and not self._may_trail:
                    self._fail("a comma before the end, which this client cannot read")
        if self._sign() != close:
            return True
        self._at += 1
        return False

    def _string(self) -> str:
        found = _STRING.match(self._text, self._at)
        if found is None:
            self._fail("a text in double quotes is missing, or has no end")
        try:
            value: str = json.loads(found[0])
        except ValueError:
            self._fail("a text has a wrong escape")
        self._at = found.end()
        return value

    def _scalar(self) -> object:
        found = _SCALAR.match(self._text, self._at)
        if found is None:
            self._fail("a value is missing")
        self._at = found.end()
        try:
            return json.loads(found[0])
        except ValueError:  # more digits than Python reads
            return float(found[0])

    def _sign(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self) -> None:
        self._at = _after(self._trivia, self._text, self._at)

    def _fail(self, reason: str) -> NoReturn:
        if self._trivia is _SPACE and self._text[self._at : self._at + 2] in ("//", "/*"):
            reason = "a comment, which this client cannot read"
        elif self._at >= len(self._text):
            reason = f"the file ends too early: {reason}"
        _refuse(self._text, self._at, reason)


def _refuse(text: str, at: int, reason: str) -> NoReturn:
    before = re.sub(r"\r\n?", "\n", text[:at])
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    raise ConfigurationSyntaxError(reason, line, column)


def _without(value: object, container: Sequence[str]) -> object:
    """Return a value without a container, and without objects that hold nothing else."""
    if not isinstance(value, dict) or not container:
        return {} if not container else value
    rest = {key: each for key, each in value.items() if key != container[0]}
    inner = _without(value.get(container[0], {}), container[1:])
    return rest | ({container[0]: inner} if inner else {})
