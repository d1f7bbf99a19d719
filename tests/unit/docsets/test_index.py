"""The file of one docset: written whole, read for ever, damage named."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from context7_fabric.docsets import index as index_module
from context7_fabric.docsets.index import DocsetIndex, memory_index, open_docset, write_docset
from context7_fabric.docsets.models import Docset, DocSnippet
from context7_fabric.errors import DamagedDocset, SearchUnavailable

FACTS = Docset(
    id="/harbour/quay",
    version="1.2",
    source="./docs",
    revision="abc",
    added_at=10.0,
    checked_at=20.0,
    address="https://example.org/{path}",
    also=("/websites/quay",),
    left_out={"binary": 2},
)
SNIPPETS = (
    DocSnippet("Quay > Install", "Run `pip install quay`.", "guide/index.md", names=("quay",)),
    DocSnippet("Quay > Mooring", "Ships moor by `mooringLine`. " * 40, "guide/mooring.md", "moor"),
    DocSnippet(
        "Quay > C++ bindings", "```cpp\nmoor();\n```", "api.md", kind="code", language="cpp"
    ),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_docset(tmp_path / "quay.docset", FACTS, SNIPPETS)
    return tmp_path / "quay.docset"


def test_write_docset_fills_in_the_counts(tmp_path: Path) -> None:
    written = write_docset(tmp_path / "quay.docset", FACTS, SNIPPETS)
    characters = sum(len(each.text) for each in SNIPPETS)
    assert written == replace(FACTS, files=3, snippets=3, characters=characters)


def test_open_docset_reads_facts_and_snippets_as_written(file: Path) -> None:
    index = open_docset(file)
    assert index.docset == replace(FACTS, files=3, snippets=3, characters=index.docset.characters)
    assert tuple(index.snippets()) == SNIPPETS


def test_write_docset_keeps_the_file_to_its_user_and_leaves_nothing_beside(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_write_docset_that_fails_leaves_the_old_file_whole(file: Path) -> None:
    before = file.read_bytes()

    def broken() -> object:
        yield SNIPPETS[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_docset(file, FACTS, broken())  # type: ignore[arg-type]
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_retrieve_matches_parts_of_identifiers_and_names_with_signs(file: Path) -> None:
    index = open_docset(file)
    assert _first(index, "mooring line") == "Quay > Mooring"
    assert _first(index, "c++") == "Quay > C++ bindings"


@pytest.mark.parametrize(
    ("question", "title"),
    [("跨域请求中间件", "中间件"), ("ルーターの設定", "設定"), ("미들웨어", "미들웨어를 쓰는 법")],
)
def test_retrieve_finds_words_in_a_script_without_spaces(question: str, title: str) -> None:
    index = memory_index(
        [
            DocSnippet("安装", "本章介绍如何安装本库。", "install.md"),
            DocSnippet("中间件", "用中间件处理跨域请求。", "middleware.md"),
            DocSnippet("設定", "ルーターを設定する方法。", "router.md"),
            DocSnippet("미들웨어를 쓰는 법", "미들웨어는 요청을 처리합니다.", "ko.md"),
        ]
    )
    assert _first(index, question) == title


def test_retrieve_without_words_shows_the_overview(file: Path) -> None:
    assert _first(open_docset(file), "how to use it?") == "Quay > Install"


def test_memory_index_answers_like_a_file(file: Path) -> None:
    written, kept = open_docset(file), memory_index(SNIPPETS)
    for question in ("install quay", "mooringLine", ""):
        assert _titles(written, question) == _titles(kept, question)


def test_open_docset_with_an_index_of_an_older_form_answers_from_the_rows(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("DROP TABLE words")
        database.execute("UPDATE facts SET index_form = 0")
    index = open_docset(file)
    assert index.is_outdated
    assert _first(index, "mooring line") == "Quay > Mooring"
    write_docset(file, index.docset, index.snippets())
    assert not open_docset(file).is_outdated


def test_open_docset_of_a_later_format_names_it(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE facts SET format = 99")
    with pytest.raises(DamagedDocset, match="format 99"):
        open_docset(file)


def test_open_docset_with_a_view_or_a_trigger_is_refused(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE VIEW more AS SELECT * FROM snippets")
    with pytest.raises(DamagedDocset, match="tables"):
        open_docset(file)


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 400, b"SQLite format 3\0"])
def test_open_docset_of_another_file_names_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "other.docset"
    file.write_bytes(content)
    with pytest.raises(DamagedDocset, match=r"other\.docset"):
        open_docset(file)


def test_open_docset_of_no_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(DamagedDocset, match="missing"):
        open_docset(tmp_path / "missing.docset")


def test_open_docset_of_a_truncated_file_names_it(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-4096])
    with pytest.raises(DamagedDocset, match="quay"):
        open_docset(file)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(at=st.integers(0, 2**16), noise=st.binary(min_size=1, max_size=200))
def test_reading_a_damaged_docset_raises_damage_or_answers(
    file: Path, at: int, noise: bytes
) -> None:
    content = bytearray(file.read_bytes())
    at %= len(content)
    content[at : at + len(noise)] = noise[: len(content) - at]
    damaged = file.with_name("damaged.docset")
    damaged.write_bytes(content)
    with suppress(DamagedDocset):
        index = open_docset(damaged)
        index.retrieve("install mooring line c++").page()
        index.snippets()


def test_retrieve_of_a_closed_docset_raises_damage(file: Path) -> None:
    index = open_docset(file)
    index.close()
    with pytest.raises(DamagedDocset):
        index.retrieve("install")


def test_retrieve_from_several_threads_gives_the_same(file: Path) -> None:
    index = open_docset(file)
    expected = _titles(index, "install mooring")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: _titles(index, "install mooring"), range(40)))
    assert found == [expected] * 40


def test_retrieve_keeps_questions_with_quotes_and_operators_as_words(file: Path) -> None:
    index = open_docset(file)
    for question in ('"', "NEAR(a b)", "install* AND (", "text:quay ^quay", "\x00install", "''--"):
        index.retrieve(question).page()


def test_probe_search_without_full_text_search_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "PROBE", "CREATE VIRTUAL TABLE probe USING fts99(text)")
    with pytest.raises(SearchUnavailable, match="FTS5"):
        open_docset(Path("any"))


def _titles(index: DocsetIndex, question: str) -> list[str]:
    return [each.title for each in index.retrieve(question).page().snippets]


def _first(index: DocsetIndex, question: str) -> str:
    return _titles(index, question)[0]
