"""The commands of docsets: their words, sizes and names."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import pytest

from context7_fabric.cli.add import _names_library, _no_library, _parser, _request, _size
from context7_fabric.cli.docsets import _named
from context7_fabric.docsets.ingestion import add_line, request_again
from context7_fabric.docsets.models import Docset
from context7_fabric.docsets.sources.source import GitSource
from context7_fabric.errors import FabricError, SettingError, UnknownDocset
from support.docsets import QUAY


@pytest.mark.parametrize(
    "docset",
    [
        Docset(QUAY, "1.2", "/a folder/of 'pages'", "", 0, 0, also=("/websites/quay",)),
        Docset(QUAY, None, "git+https://github.com/harbour/quay@main --path 'my docs'", "", 0, 0),
        Docset(QUAY, None, "https://quay.example/llms.txt", "", 0, 0, characters=60_000_000),
    ],
)
def test_add_line_adds_the_docset_again(docset: Docset) -> None:
    words = shlex.split(add_line(docset))[2:]
    again = _request(_parser().parse_args(words))
    assert again == request_again(docset)


@pytest.mark.parametrize(
    ("words", "docset_id", "version"),
    [
        (["--id", QUAY], QUAY, None),
        (["--id", "/harbour/quay/1.2"], QUAY, "1.2"),
        (["--id", "/harbour/quay@next"], QUAY, "next"),
        (["--id", QUAY, "--version", "1.2"], QUAY, "1.2"),
        (["--id", QUAY, "--version", "v1.2"], QUAY, "1.2"),
        (["--id", "/harbour/quay/v1.2", "--version", "V1.2"], QUAY, "1.2"),
        (["--id", QUAY, "--version", "vnext"], QUAY, "vnext"),
    ],
)
def test_request_takes_the_version_of_the_option_or_of_the_id(
    words: list[str], docset_id: str, version: str | None
) -> None:
    request = _request(_parser().parse_args(["./docs", *words]))
    assert (request.id, request.version) == (docset_id, version)


def test_request_for_a_tag_of_another_version_is_refused() -> None:
    words = ["git+https://github.com/harbour/quay@v1.0", "--version", "2.0"]
    with pytest.raises(SettingError, match=r"'2.0' is not the version of the tag, '1.0'"):
        _request(_parser().parse_args(words))


def test_request_for_a_repository_takes_its_own_id() -> None:
    words = ["git+https://github.com/harbour/quay.git@v1", "--path", "docs", "--path", "guide"]
    request = _request(_parser().parse_args(words))
    assert request.id == QUAY
    assert isinstance(request.source, GitSource)
    assert request.source.paths == ("docs", "guide")


@pytest.mark.parametrize(
    ("ref", "version"),
    [
        ("v1.2.3", "1.2.3"),
        ("1.2", "1.2"),
        ("quay@8.2.1", "8.2.1"),
        ("langchain==1.0.3", "1.0.3"),
        ("release-2.0-rc.1", "2.0-rc.1"),
        ("main", None),
        ("v5", None),
        ("5.x", None),
        ("0123456789012345678901234567890123456789", None),
    ],
)
def test_request_for_a_tag_takes_the_version_that_it_names(ref: str, version: str | None) -> None:
    words = [f"git+https://github.com/harbour/quay@{ref}"]
    assert _request(_parser().parse_args(words)).version == version


@pytest.mark.parametrize(
    "words",
    [
        ["./docs"],
        ["./docs", "--id", "quay"],
        ["./docs", "--id", "/harbour/../quay"],
        ["./docs", "--id", "/../.."],
        ["./docs", "--id", "/./quay"],
        ["./docs", "--id", "/a/b\x00c"],
        ["./docs", "--id", f"/harbour/{'q' * 600}"],
        ["./docs", "--id", QUAY, "--also", "quay"],
        ["./docs", "--id", QUAY, "--version", ""],
        ["./docs", "--id", QUAY, "--version", "1 2"],
        ["./docs", "--id", QUAY, "--version", "latest"],
        ["./docs", "--id", QUAY, "--version", "../../x"],
        ["./docs", "--id", QUAY, "--version", "1" * 101],
        ["./docs", "--id", "/harbour/quay/1.2", "--version", "1.3"],
        ["https://quay.example/llms.txt"],
        ["-x", "--id", QUAY],
    ],
)
def test_request_that_cannot_be_filed_is_refused(words: list[str]) -> None:
    with pytest.raises((FabricError, SystemExit)):
        _request(_parser().parse_args(words))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("200MB", 200_000_000),
        ("200 mb", 200_000_000),
        ("1.5G", 1_500_000_000),
        ("2KiB", 2048),
        ("1GiB", 2**30),
        ("3k", 3000),
    ],
)
def test_size_is_read_in_the_units_of_people(text: str, size: int) -> None:
    assert _size(text) == size


@pytest.mark.parametrize("text", ["", "0", "MB", "-5MB", "5 TB", "1e9", "٣MB", "0.0001k"])
def test_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        _size(text)


def held(*names: tuple[str, str | None]) -> list[Docset]:
    return [Docset(docset_id, version, "", "", 0, 0) for docset_id, version in names]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (QUAY, QUAY),
        ("/Harbour/Quay", QUAY),
        (f"{QUAY}@1.2", f"{QUAY}@1.2"),
        ("/harbour/dock", "/harbour/dock@2"),
    ],
)
def test_named_docset_is_the_exact_one_or_the_only_one_of_its_id(name: str, expected: str) -> None:
    docsets = held((QUAY, None), (QUAY, "1.2"), (QUAY, "1.3"), ("/harbour/dock", "2"))
    assert _named(name, docsets).name == expected


@pytest.mark.parametrize("name", ["/harbour/dock", "/harbour/quay@9", "quay", "", "../x"])
def test_named_docset_that_is_not_certain_lists_those_that_there_are(name: str) -> None:
    docsets = held((QUAY, "1.2"), ("/harbour/dock", "1"), ("/harbour/dock", "2"))
    with pytest.raises(UnknownDocset, match="/harbour/dock@1, /harbour/dock@2"):
        _named(name, docsets)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["quay"], True),
        (["@harbour/quay"], True),
        ([QUAY], True),
        (["/harbour/quay/1.2"], True),
        (["quay", "--id", QUAY], False),
        (["./quay"], False),
        (["docs/quay"], False),
        (["/"], False),
        (["/etc/ssl"], False),
        (["git+https://github.com/harbour/quay"], False),
        (["https://quay.example/llms.txt"], False),
        (["C:\\docs"], False),
        ([""], False),
    ],
)
def test_source_is_a_library_if_it_is_an_id_or_a_name_and_no_path(
    words: list[str], expected: bool
) -> None:
    assert _names_library(_parser().parse_args(words)) is expected


def test_a_folder_with_the_name_of_a_library_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "quay").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not _names_library(_parser().parse_args(["quay"]))


def test_no_library_note_with_full_stop_goes_on_with_a_colon_alone() -> None:
    error = _no_library("good", {"exact": False, "note": "Nothing is stored."})

    assert str(error) == "'good' is no name of one library: Nothing is stored: give its id"
