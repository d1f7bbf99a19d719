"""The summary of `add` and `docsets refresh`."""

from __future__ import annotations

from context7_fabric.cli.docsets import omissions


def test_omissions_sum_up_the_includes_that_the_source_lacks() -> None:
    left_out = {f"lines: include of code/{n}.py": n for n in range(1, 6)} | {"lines: layout": 2}
    assert omissions(left_out, {}) == [
        "2 lines: layout",
        "5 includes: not in the source (code/1.py, code/2.py, code/3.py and 2 more)",
    ]


def test_omissions_name_the_files_of_a_reason() -> None:
    left_out = {"files: binary": 4, "file: special": 1}
    examples = {"files: binary": ["a.md", "b.md", "c.md", "d.md"], "file: special": ["pipe"]}
    assert omissions(left_out, examples) == [
        "1 file: special (pipe)",
        "4 files: binary (a.md, b.md, c.md and 1 more)",
    ]
