"""The last line of a child's stderr, as error messages quote it."""

from __future__ import annotations

import pytest

from context7_fabric.upstream.transport import LONGEST_LINE, last_line


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (b"", ""),
        (b"\n\n", ""),
        (b"one\ntwo\n", "two"),
        (b"one\r\ntwo\r\n\r\n", "two"),
        (b"half a line", "half a line"),
        (b"\x1b[31mred\x1b[0m\x07 alert\n", "red alert"),
        (b"\x1b]0;title\x07fatal: no", "fatal: no"),
        ("caf\u00e9 \u202etxet\u2066 \u0085x".encode(), "caf\u00e9 txet x"),
        (b"broken \xff\xfe byte", "broken \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} byte"),
        (b"Error: Cannot find module 'x'\n\nNode.js v20.11.0\n", "Error: Cannot find module 'x'"),
        (b"npm error 404\nnpm error A complete log of this run can be found in: /x\n",
         "npm error 404"),
        (b"bad key ctx7sk-secret\n", "bad key [key]"),
    ],
)  # fmt: skip
def test_last_line_leaves_out_terminal_escapes_and_noise(written: bytes, line: str) -> None:
    assert last_line(written, "ctx7sk-secret") == line


def test_a_long_line_is_cut() -> None:
    assert len(last_line(b"x" * 5000)) == LONGEST_LINE
