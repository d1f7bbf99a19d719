"""Discovery of documentation: which source, from which text, and how sure."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.docsets.sources.discovery import (
    candidates,
    repository_file,
    undiscovered,
)
from context7_fabric.docsets.sources.source import parse_source

GITHUB = "https://github.com"


def lines(library: str, sources: list[str], **facts: object) -> list[tuple[str, bool]]:
    found = candidates(library, sources, **facts)  # type: ignore[arg-type]
    return [(each.line, each.certain) for each in found]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{GITHUB}/o/r", ("github.com", "o", "r", "", "")),
        (f"{GITHUB}/o/r.git", ("github.com", "o", "r", "", "")),
        ("https://www.github.com/o/r/", ("github.com", "o", "r", "", "")),
        (
            f"{GITHUB}/o/r/blob/main/docs/a%20b.md#x",
            ("github.com", "o", "r", "main", "docs/a b.md"),
        ),
        (f"{GITHUB}/o/r/tree/v1/docs", ("github.com", "o", "r", "v1", "docs")),
        (
            "https://raw.githubusercontent.com/o/r/refs/heads/main/README.md",
            ("github.com", "o", "r", "main", "README.md"),
        ),
        ("https://gitlab.com/o/r/-/blob/main/a.md", ("gitlab.com", "o", "r", "main", "a.md")),
        ("https://codeberg.org/o/r/src/branch/x/a.md", ("codeberg.org", "o", "r", "x", "a.md")),
        ("https://bitbucket.org/o/r/src/main/a.md", ("bitbucket.org", "o", "r", "main", "a.md")),
        ("https://git.sr.ht/~o/r/tree/main/item/a.md", ("git.sr.ht", "~o", "r", "main", "a.md")),
        (f"{GITHUB}/o/r/blob/main/../../x.md", ("github.com", "o", "r", "main", "")),
        (f"{GITHUB}/o/r/blob/--upload-pack=x/a.md", ("github.com", "o", "r", "", "a.md")),
        (f"{GITHUB}/o/r/blob/main/-x/a.md", ("github.com", "o", "r", "main", "")),
        (f"{GITHUB}/sponsors/o", None),
        (f"{GITHUB}/-o/r", None),
        (f"{GITHUB}/o/..", None),
        (f"{GITHUB}/-x/r;y", None),
        (f"{GITHUB}/o", None),
        ("https://github.com.evil.org/o/r", None),
        ("https://docs.example.org/o/r", None),
        ("https://[::1", None),
    ],
)
def test_repository_file_of_an_address(
    url: str, expected: tuple[str, str, str, str, str] | None
) -> None:
    found = repository_file(url)
    assert expected == (
        found
        and (
            found.repository.host,
            found.repository.owner,
            found.repository.name,
            found.ref,
            found.path,
        )
    )


def blobs(repository: str, *paths: str, ref: str = "main") -> list[str]:
    return [f"{GITHUB}/{repository}/blob/{ref}/{path}" for path in paths]


def test_candidates_of_answers_name_repository_branch_and_folders() -> None:
    sources = blobs("expo/expo", "docs/pages/router/a.mdx", "docs/pages/router/b/c.mdx", "x/y.md")
    assert lines("/expo/expo", sources) == [
        ("git+https://github.com/expo/expo --path docs/pages", True)
    ]
    sources = blobs("Vercel/next.js", "docs/a.mdx", "README.md", "src/code.ts", ref="canary")
    assert lines("/vercel/next.js", sources) == [
        ("git+https://github.com/Vercel/next.js@canary --path docs --path README.md", True)
    ]
    assert lines("/vercel/next.js", sources, version="15.1.0") == [
        ("git+https://github.com/Vercel/next.js --path docs --path README.md", True)
    ]


@pytest.mark.parametrize(
    ("paths", "folders"),
    [
        (["apps/web/src/content/docs/v3/a.md"], "--path apps/web/src/content/docs"),
        (["packages/core/README.md", "packages/core/x/API.md"], "--path packages/core"),
        (["docs/a.md", "docs/b.md", "guide/c.md", "guide/d.md"], "--path docs --path guide"),
        (["Doc/library/decimal.rst"], "--path Doc"),
        (["README.md"], ""),
        (["src/a.py", "lib/b.ts"], ""),
    ],
)
def test_candidates_widen_the_common_folder_to_where_documentation_begins(
    paths: list[str], folders: str
) -> None:
    [(line, _certain)] = lines("/o/r", blobs("o/r", *paths))
    assert line == f"git+https://github.com/o/r {folders}".strip()


def test_candidates_of_another_repository_are_not_certain() -> None:
    other = blobs("evil/docs", "docs/a.md")
    assert lines("/o/r", other)[0] == ("git+https://github.com/evil/docs --path docs", False)
    elsewhere = ["https://codeberg.org/o/r/src/branch/main/docs/a.md"]
    assert lines("/o/r", elsewhere)[0] == ("git+https://codeberg.org/o/r --path docs", False)


def test_candidates_named_by_a_seed_or_by_metadata_are_certain() -> None:
    sources = blobs("o/docs", "docs/a.md")
    line = "git+https://github.com/o/docs --path docs"
    assert lines("/o/r", sources, known_ids=["/o/docs"])[0] == (line, True)
    named = ["https://github.com/o/docs/issues"]
    assert lines("/o/r", sources, project_urls=named)[0] == (line, True)
    packaged = ["git+https://github.com/o/docs.git"]
    assert lines("/o/r", [], project_urls=packaged)[0] == ("git+https://github.com/o/docs", False)
    assert lines("/o/docs", [], project_urls=packaged)[0][1]


def test_candidates_without_a_majority_are_the_repository_of_the_id_alone() -> None:
    sources = [*blobs("a/b", "docs/a.md"), *blobs("c/d", "docs/a.md")]
    assert lines("/o/r", sources) == []
    assert lines("/o/r", []) == [("git+https://github.com/o/r", False)]
    assert lines("/o/r", [], known_ids=["/o/r"]) == [("git+https://github.com/o/r", True)]


@pytest.mark.parametrize(
    ("library", "source", "site"),
    [
        ("/websites/fastapi", "https://fastapi.tiangolo.com/a/b", "https://fastapi.tiangolo.com"),
        ("/llmstxt/hono", "https://hono.dev/llms-full.txt", "https://hono.dev"),
        ("/websites/agents", "https://o.github.io/agents/a", "https://o.github.io/agents"),
    ],
)
def test_candidates_of_a_site_are_its_files_for_models(
    library: str, source: str, site: str
) -> None:
    assert lines(library, [source, source]) == [
        (f"{site}/llms-full.txt", False),
        (f"{site}/llms.txt", False),
    ]
    assert lines(library, [source], project_urls=[f"{site}/"])[0] == (f"{site}/llms-full.txt", True)


def test_candidates_of_a_site_without_sources_are_none_and_the_error_gives_the_line() -> None:
    assert lines("/websites/fastapi", []) == []
    assert "context7-fabric add git+https://" in str(undiscovered("/websites/fastapi"))


@given(
    st.text(max_size=40),
    st.lists(st.text(max_size=60) | st.text("htps:/gub.com/ob-~@x", max_size=80), max_size=5),
)
def test_candidates_of_any_text_are_sources_that_can_be_read_back(
    library: str, sources: list[str]
) -> None:
    for each in candidates(library, sources, project_urls=sources):
        assert parse_source(each.line, Path("/")) == each.source
