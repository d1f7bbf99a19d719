"""Reading of the line that names a source."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.docsets.sources.source import (
    FolderSource,
    GitSource,
    LlmsSource,
    parse_source,
)
from context7_fabric.errors import DocsetSourceError, UnusableSource

CWD = Path("/home/me/project")


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("docs", FolderSource(CWD / "docs")),
        ("/srv/docs/README.md", FolderSource(Path("/srv/docs/README.md"))),
        ("a folder --path b", FolderSource(CWD / "a folder --path b")),
        ("git+https://github.com/o/r", GitSource("https://github.com/o/r")),
        ("git+https://github.com/o/r/", GitSource("https://github.com/o/r")),
        ("git+https://github.com/o/r@v1.2", GitSource("https://github.com/o/r", "v1.2")),
        ("git+https://h.org/o/r@@s/n@8.2.1", GitSource("https://h.org/o/r", "@s/n@8.2.1")),
        (
            "git+https://github.com/o/r@main --path docs/ --path 'a b/c'",
            GitSource("https://github.com/o/r", "main", ("docs", "a b/c")),
        ),
        ("https://hono.dev/llms-full.txt", LlmsSource("https://hono.dev/llms-full.txt")),
        ("https://hono.dev/docs/llms.txt", LlmsSource("https://hono.dev/docs/llms.txt")),
    ],
)
def test_parse_source_of_each_form_is_read_and_written_again(
    text: str, source: FolderSource | GitSource | LlmsSource
) -> None:
    assert parse_source(text, CWD) == source
    assert parse_source(source.line, Path("/elsewhere")) == source


def test_parse_source_with_further_paths_joins_them() -> None:
    source = parse_source("git+https://h.org/o/r --path a", CWD, ("b/", "a"))
    assert source == GitSource("https://h.org/o/r", None, ("a", "b"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "--upload-pack=touch x",
        "-rf",
        "a\0b",
        "git+ssh://git@github.com/o/r",
        "git+file:///etc",
        "git+ext::sh -c id",
        "git+http://github.com/o/r",
        "git+https://",
        "git+https://github.com/o/r@--upload-pack=x",
        "git+https://github.com/o/r@a..b",
        "git+https://github.com/o/r@a b",
        "git+https://github.com/o/r --path ../..",
        "git+https://github.com/o/r --path /etc",
        "git+https://github.com/o/r --path -x",
        "git+https://github.com/o/r --upload-pack x",
        "git+https://github.com/o/r --path",
        "git+https://github.com/o/r --path 'x",
        "git+https://github.com/o/r?x=1",
        "git+https://github.com:no/o/r",
        "git+https://[::1/o/r",
        "https://example.org/page.html",
        "https://example.org/llms.txt?key=1",
        "ftp://example.org/llms.txt",
        "https://exa\x1b[2Jmple.org/llms.txt",
    ],
)
def test_parse_source_of_what_is_not_allowed_raises_one_line(text: str) -> None:
    with pytest.raises(UnusableSource) as caught:
        parse_source(text, CWD)
    assert str(caught.value).isprintable()
    assert caught.value.remedy


@pytest.mark.parametrize(
    "text",
    ["git+https://me:hunter2@github.com/o/r", "https://hunter2@example.org/llms.txt"],
)
def test_parse_source_with_a_credential_refuses_it_and_does_not_show_it(text: str) -> None:
    with pytest.raises(UnusableSource) as caught:
        parse_source(text, CWD)
    assert "hunter2" not in f"{caught.value} {caught.value.source}"


def test_parse_source_of_a_repositorys_page_gives_the_line_to_type() -> None:
    with pytest.raises(UnusableSource, match=r"type git\+https://github\.com/o/r$"):
        parse_source("https://github.com/o/r", CWD)


def test_parse_source_with_a_path_of_a_folder_raises() -> None:
    with pytest.raises(UnusableSource, match="name the folder itself"):
        parse_source("docs", CWD, ("a",))


@given(st.text(max_size=60) | st.text("git+https://ab.c/@ -pth'\"", max_size=60))
def test_parse_source_of_any_text_is_written_again_or_refused(text: str) -> None:
    try:
        source = parse_source(text, CWD)
    except DocsetSourceError as error:
        assert str(error).isprintable()  # noqa: PT017  # either way out is right
    else:
        assert parse_source(source.line, CWD) == source
