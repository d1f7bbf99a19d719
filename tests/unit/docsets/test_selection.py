"""Choice of documentation among the files of a source."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.docsets.sources.selection import (
    GENERATED,
    HIDDEN,
    OLDER,
    TRANSLATION,
    Listing,
    reasons,
    rendered_beside,
)


def left_out(
    path: str, folders: str = "", files: str = "", version: str | None = None
) -> dict[str, str]:
    return dict(reasons(Listing(path, folders.split(), files.split()), version))


@pytest.mark.parametrize(
    ("path", "folders", "files", "names"),
    [
        ("docs", "en de zh-CN guide", "", "de zh-CN"),
        ("docs", "de fr guide", "index.md", "de fr"),
        ("docs", "de guide", "index.md", ""),
        ("docs", "zh ja", "", ""),
        ("i18n", "ja pt-BR en", "", "ja pt-BR"),
        ("docs", "go js api", "", ""),
        ("", "", "README.md README.zh-CN.md README_ja.md README-fr.md", ""),
        ("docs", "", "index.en.md index.de.md", "index.de.md"),
        ("src", "", "chat-model.mdx chat-model-da.mdx", ""),
        ("src", "", "notes.de.md", ""),
        ("docs", "i18n", "", ""),
    ],
)
def test_reasons_for_translations(path: str, folders: str, files: str, names: str) -> None:
    expected = names or ("README.zh-CN.md README_ja.md README-fr.md" if "README" in files else "")
    assert left_out(path, folders, files) == dict.fromkeys(expected.split(), TRANSLATION)


@pytest.mark.parametrize(
    ("path", "folders", "version", "names"),
    [
        ("api", "3x 4x 5x", None, "3x 4x"),
        ("api", "3x 4x 5x", "4.18.2", "3x 5x"),
        ("docs/en", "v1 v2 v10", None, "v1 v2"),
        ("docs/en", "v1 v2 latest", None, "v1 v2"),
        ("docs/en", "v1 v2 latest", "2.3", "v1"),
        ("docs", "1 2 3", None, ""),
        ("docs", "v1 guide", None, ""),
        ("docs/api-reference", "v1 v2", None, ""),
        ("docs/migration", "v1 v2", None, ""),
        ("releases", "v1 v2 version-3.1", None, ""),
        ("", "docs versioned_docs", None, "versioned_docs"),
        ("", "docs versioned_docs", "2.0", ""),
        ("versioned_docs", "version-1.0 version-2.0", "1.0", "version-2.0"),
        ("packages", "docs docs-v3", None, "docs-v3"),
        ("packages", "docs docs-v3", "3.25", ""),
        ("packages", "docs-v3 docs-v4", None, ""),
    ],
)
def test_reasons_for_older_versions(
    path: str, folders: str, version: str | None, names: str
) -> None:
    assert left_out(path, folders, "", version) == dict.fromkeys(names.split(), OLDER)


def test_reasons_for_hidden_and_generated_folders() -> None:
    assert left_out("", ".git node_modules build docs", "package.json") == {
        ".git": HIDDEN,
        "node_modules": GENERATED,
        "build": GENERATED,
        "package.json": "not documentation",
    }
    assert left_out("docs/pages", "build deploy", "index.mdx") == {}


def test_reasons_for_files_name_their_kind() -> None:
    found = left_out(
        "",
        "",
        "a.md b.MDX c.rst d.txt g.adoc h.ipynb i.html README"
        " e.pdf 404.html requirements.txt f.py LICENSE",
    )
    assert found == {
        "e.pdf": "format .pdf is not read",
        "404.html": GENERATED,
        "requirements.txt": "plain text that is not documentation",
        "f.py": "not documentation",
        "LICENSE": "not documentation",
    }
    assert left_out("", "", "CHANGELOG.md HISTORY.rst RELEASES.txt") == {}


def test_reasons_for_folders_that_sphinx_writes_beside_its_pages() -> None:
    assert left_out("", "_sources _static library", "index.html searchindex.js genindex.html") == {
        "_sources": GENERATED,
        "_static": GENERATED,
        "searchindex.js": "not documentation",
        "genindex.html": GENERATED,
    }
    assert left_out("", "_static library", "index.md") == {}


@pytest.mark.parametrize(
    ("paths", "beside"),
    [
        ("a.html b.htm c.md", ""),
        ("a.html", ""),
        ("a.html b.md", "a.html"),
        ("a.html b.HTM c.md d.rst", "a.html b.HTM"),
        ("a.md", ""),
    ],
)
def test_rendered_beside_leaves_pages_out_unless_most_are_pages(paths: str, beside: str) -> None:
    assert set(rendered_beside(paths.split())) == set(beside.split())


NAMES = st.lists(
    st.text("en-zhCNdocsv123x._/RAM", min_size=1, max_size=9) | st.text(min_size=1, max_size=9),
    max_size=8,
)


@given(st.text(max_size=9), NAMES, NAMES, st.none() | st.text(max_size=9))
def test_reasons_of_any_folder_are_for_names_in_it(
    path: str, folders: list[str], files: list[str], version: str | None
) -> None:
    assert set(reasons(Listing(path, folders, files), version)) <= {*folders, *files}
