"""Splices in TOML: our table changes, and no other byte."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.client_config.toml_entry import TomlText
from context7_fabric.errors import ConfigurationSyntaxError

SERVERS = ("mcp_servers",)
ENTRY: dict[str, Any] = {"command": "/bin/it", "args": ["a"], "env": {"A.b": 'q"\x7f'}}
OLD = '[mcp_servers."context7"] # mine\ncommand = "npx"\n\n# e\n[mcp_servers.context7.e]\nK = 1'
PIECES = (
    '# top\nmodel = "x"\n',
    '[mcp_servers.other] # o\ncommand = """\n[mcp_servers.context7]\n"""\n',
    "\n# next\n[other]\na = [ # [mcp_servers.context7]\n  \"]\", '#',\n]\n",
    "[[skills]]\n  'q # k' = { x = [1, {y = \"}\"}], z = 1979-05-27T07:32:00Z }\n",
    "\n\n# end\n",
)

pieces = st.permutations(PIECES[1:]).map(lambda found: [PIECES[0], *found])


@given(pieces, st.integers(0, 5), st.booleans())
def test_with_entry_changes_our_table_alone_and_put_back_gives_the_bytes_back(
    parts: list[str], at: int, is_crlf: bool
) -> None:
    is_there = at < len(parts) and at > 0
    text = "".join([*parts[:at], f"{OLD}\n", *parts[at:]] if is_there else parts)
    text = text.replace("\n", "\r\n") if is_crlf else text
    before = TomlText(text)
    after = before.with_entry(SERVERS, "context7", ENTRY)
    expected = tomllib.loads(text)
    expected.setdefault("mcp_servers", {})["context7"] = ENTRY
    assert tomllib.loads(after) == expected
    head, tail = text.partition(OLD.replace("\n", "\r\n" if is_crlf else "\n"))[::2]
    assert after.startswith(head)
    assert after.endswith(tail)
    assert not is_crlf or after.count("\n") == after.count("\r\n")
    assert TomlText(after).put_back(SERVERS, "context7", before) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", '[mcp_servers.x]\nc = "1"\n'),
        ("a = 1", 'a = 1\n\n[mcp_servers.x]\nc = "1"\n'),
        (
            '[mcp_servers]\nx = { c = "0" } # k\ny = {}\n',
            '[mcp_servers]\nx = { c = "1" } # k\ny = {}\n',
        ),
        (
            'mcp_servers.x.c = "0"\nz = 1\n[o]\n',
            'z = 1\n[o]\n\n[mcp_servers.x]\nc = "1"\n',
        ),
        (
            '[mcp_servers]\nx.c = "0"\ny.c = "0"\n',
            '[mcp_servers]\ny.c = "0"\n\n[mcp_servers.x]\nc = "1"\n',
        ),
        (
            '[mcp_servers.x]\nc = "0"\n# of o\n[o]\na = 1\n[mcp_servers.x.env]\nA = "1"\n# end\n',
            '[mcp_servers.x]\nc = "1"\n# of o\n[o]\na = 1\n# end\n',
        ),
        ("[mcp_servers.x]", '[mcp_servers.x]\nc = "1"\n'),
    ],
)
def test_with_entry_writes_as_the_file_is_written(text: str, expected: str) -> None:
    assert TomlText(text).with_entry(SERVERS, "x", {"c": "1"}) == expected


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a = 1\nb =\n", 2, "Invalid value"),
        ('[mcp_servers.x]\nc = "1"\n[mcp_servers.x]\nc = "2"\n', 3, "declare"),
        ("a = 1\nmcp_servers = 1\n", 2, "no table"),
        ("a = 1\nmcp_servers = { y = {} }\n", 2, "by hand"),
        ("[[mcp_servers]]\nx = 1\n", 1, "no table"),
        ("a = '''", 1, "Expected"),
        ("a = " + "[" * 100_000, 1, "recursion"),
    ],
)
def test_text_that_cannot_be_edited_is_refused_with_its_line(
    text: str, line: int, reason: str
) -> None:
    with pytest.raises(ConfigurationSyntaxError, match=reason) as refused:
        TomlText(text).with_entry(SERVERS, "x", ENTRY)
    assert refused.value.line == line


def test_put_back_without_a_backup_cuts_our_table_alone() -> None:
    text = f"a = 1\n\n{OLD}\n\n# next\n[o]\n"
    after = TomlText(text).with_entry(SERVERS, "context7", ENTRY)
    assert TomlText(after).put_back(SERVERS, "context7", None) == "a = 1\n\n\n# next\n[o]\n"
