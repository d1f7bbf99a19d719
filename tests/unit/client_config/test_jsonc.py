"""Splices in JSON: our entry changes, and no other byte."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from context7_fabric.client_config.clients import Dialect
from context7_fabric.client_config.jsonc import JsonText
from context7_fabric.errors import ConfigurationSyntaxError

ENTRY = {"command": "/bin/it", "args": ["serve"], "env": {"A": "1"}}
SERVERS = ("mcpServers",)

names = st.sampled_from(["a", "b", "context7", "mcpServers", "projects", "url // no comment", 'q"'])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text('a é"\\\n/*,}{', max_size=4)
    | st.just("https://a/*b*/")
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(names, values, max_size=4)


class Writer:
    """Writer of a value with odd blanks, comments and trailing commas, by chance."""

    def __init__(self, seed: int, *, comments: bool, line_end: str) -> None:
        self.chance, self.comments, self.line_end = Random(seed), comments, line_end  # noqa: S311

    def trivia(self) -> str:
        kinds = ["", " ", self.line_end, f"{self.line_end}\t"]
        if self.comments:
            kinds += ["/* , } */", f'// "x": {{ , {self.line_end}', f"/*{self.line_end}*/"]
        return "".join(self.chance.choices(kinds, k=self.chance.randrange(3)))

    def text(self, value: object) -> str:
        if isinstance(value, dict):
            parts = [
                f"{self.trivia()}{json.dumps(key)}{self.trivia()}:{self.trivia()}{self.text(each)}"
                for key, each in value.items()
            ]
            return "{" + self.joined(parts) + "}"
        if isinstance(value, list):
            return "[" + self.joined([self.trivia() + self.text(each) for each in value]) + "]"
        return json.dumps(value)

    def joined(self, parts: list[str]) -> str:
        comma = "," if parts and self.comments and self.chance.random() < 0.5 else ""
        return f"{self.trivia()},".join(parts) + self.trivia() + comma + self.trivia()


@st.composite
def documents(draw: st.DrawFn) -> tuple[dict[str, Any], str, Dialect]:
    """A root with an object of servers or none, its text, and the dialect."""
    root = draw(objects)
    if draw(st.booleans()):
        root["mcpServers"] = draw(st.dictionaries(names, values, max_size=3))
    elif not isinstance(root.get("mcpServers", {}), dict):
        del root["mcpServers"]
    comments = draw(st.booleans())
    seed = draw(st.integers(0, 2**32))
    writer = Writer(seed, comments=comments, line_end=draw(st.sampled_from(["\n", "\r\n"])))
    text = writer.trivia() + writer.text(root) + writer.trivia()
    return root, text, Dialect.JSONC if comments else Dialect.JSON


def plain(text: str) -> object:
    """Parse by another way: one pattern separates strings, comments and commas."""
    token = r'("(?:[^"\\]|\\.)*")|//[^\r\n]*|/\*[\s\S]*?\*/'
    bare = re.sub(token, lambda found: found[1] or " ", text)
    trailing = r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])'
    return json.loads(re.sub(trailing, lambda found: found[1] or "", bare))


def is_subsequence(part: str, whole: str) -> bool:
    rest = iter(whole)
    return all(sign in rest for sign in part)


@given(documents())
def test_parse_of_any_document_is_what_the_oracle_reads(
    document: tuple[dict[str, Any], str, Dialect],
) -> None:
    root, text, dialect = document
    assert JsonText(text, dialect).value == plain(text) == root


@given(documents())
def test_with_entry_changes_the_entry_alone(document: tuple[dict[str, Any], str, Dialect]) -> None:
    root, text, dialect = document
    after = JsonText(text, dialect).with_entry(SERVERS, "context7", ENTRY)
    servers = {**root.get("mcpServers", {}), "context7": ENTRY}
    assert plain(after) == {**root, "mcpServers": servers}
    inside = root.get("mcpServers", root)  # blanks of an empty object are written anew
    if inside and "context7" not in root.get("mcpServers", {}):
        assert is_subsequence(text, after)


@given(documents())
def test_with_entry_of_a_present_one_replaces_its_span(
    document: tuple[dict[str, Any], str, Dialect],
) -> None:
    _root, text, dialect = document
    first = JsonText(text, dialect).with_entry(SERVERS, "context7", "@@@")
    assert first.count('"@@@"') == 1
    head, tail = first.split('"@@@"')
    after = JsonText(first, dialect).with_entry(SERVERS, "context7", ENTRY)
    assert after.startswith(head)
    assert after.endswith(tail)


@given(documents())
@example(({"mcpServers": {"a": 1}}, '{"mcpServers": {"a": 1 // one\n,}}', Dialect.JSONC))
def test_put_back_gives_the_value_back_and_every_comment(
    document: tuple[dict[str, Any], str, Dialect],
) -> None:
    root, text, dialect = document
    before = JsonText(text, dialect)
    after = JsonText(before.with_entry(SERVERS, "context7", ENTRY), dialect)
    restored = after.put_back(SERVERS, "context7", before)
    assert plain(restored) == root
    if root.get("mcpServers"):
        assert restored == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", '{\n  "mcpServers": {\n    "context7": "E"\n  }\n}\n'),
        ("{}", '{\n  "mcpServers": {\n    "context7": "E"\n  }\n}'),
        (
            '{\n\t"a": 1 // note\n}\n',
            '{\n\t"a": 1, // note\n\t"mcpServers": {\n\t\t"context7": "E"\n\t}\n}\n',
        ),
        (
            '{\r\n   "mcpServers": {\r\n      "x": {},\r\n   }\r\n}',
            '{\r\n   "mcpServers": {\r\n      "x": {},\r\n      "context7": "E",\r\n   }\r\n}',
        ),
        ('{"mcpServers": {"x": {}}}', '{"mcpServers": {"x": {}, "context7": "E"}}'),
        (
            '{\n  "mcpServers": {\n    // none\n  }\n}',
            '{\n  "mcpServers": {\n    // none\n    "context7": "E"\n  }\n}',
        ),
    ],
)
def test_with_entry_writes_as_the_file_is_written(text: str, expected: str) -> None:
    assert JsonText(text, Dialect.JSONC).with_entry(SERVERS, "context7", "E") == expected


@pytest.mark.parametrize(
    ("text", "dialect", "line", "column", "reason"),
    [
        ('{\n  "a": 1,\n  "mcpServers": {},\n  "mcpServers": {}\n}', "JSON", 4, 3, "twice"),
        ('{"mcpServers": {"context7": 1, "context7": 2}}', "JSON", 1, 32, "twice"),
        ('{\n"mcpServers": []}', "JSON", 2, 15, "no object"),
        ('{"mcpServers": null}', "JSON", 1, 16, "no object"),
        ("[]", "JSON", 1, 1, "no object"),
        ('{\r\n// c\r\n"a": 1}', "JSON", 2, 1, "comment"),
        ('{"a": 1,}', "JSON", 1, 9, "comma"),
        ('{"a": 1,}', "COMMENTED", 1, 9, "comma"),
        ('{"a": 1', "JSONC", 1, 8, "ends too early"),
        ('{"a": 1}}', "JSONC", 1, 9, "more after"),
        ('{"a" 1}', "JSONC", 1, 6, "colon"),
        ('{"a": 01}', "JSONC", 1, 7, "value"),
        ('{"a": "x}', "JSONC", 1, 7, "no end"),
        ("{'a': 1}", "JSONC", 1, 2, "double quotes"),
        ("{,}", "JSONC", 1, 2, "double quotes"),
        ('{"a": /* x }', "JSONC", 1, 7, "value"),
        ('{"a": ' + "[" * 5000, "JSONC", 1, 207, "levels"),
        ('{"a": "\\ud"}', "JSONC", 1, 7, "escape"),
        ("\x00", "JSONC", 1, 1, "value"),
    ],
)
def test_document_that_cannot_be_read_is_refused_with_its_place(
    text: str, dialect: str, line: int, column: int, reason: str
) -> None:
    with pytest.raises(ConfigurationSyntaxError, match=reason) as refused:
        JsonText(text, Dialect[dialect]).with_entry(SERVERS, "context7", ENTRY)
    assert (refused.value.line, refused.value.column) == (line, column)


def test_put_back_cuts_the_objects_that_were_made() -> None:
    before = JsonText('{\n  "a": 1\n}\n', Dialect.JSON)
    path = ("projects", "/p", "mcpServers")
    after = JsonText(before.with_entry(path, "context7", ENTRY), Dialect.JSON)
    assert after.put_back(path, "context7", before) == before.text


def test_put_back_writes_the_entry_as_it_was_written() -> None:
    written = '{\n  "mcpServers": { "context7": {"url":"u" /* mine */} }\n}'
    before = JsonText(written, Dialect.JSONC)
    after = before.with_entry(SERVERS, "context7", ENTRY).replace("{\n", '{\n  "new": 1,\n', 1)
    restored = JsonText(after, Dialect.JSONC).put_back(SERVERS, "context7", before)
    assert restored == written.replace("{\n", '{\n  "new": 1,\n', 1)
