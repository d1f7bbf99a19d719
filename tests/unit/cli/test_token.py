"""`token`: output, files and wrong usage."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from context7_fabric.cli.main import main
from context7_fabric.http_server.token_file import TokenFile


@pytest.fixture
def file(home: Path) -> TokenFile:
    """The file that the command uses."""
    return TokenFile(home / "tokens")


def owners(file: TokenFile, *tokens: str) -> list[str | None]:
    file.read()
    return [file.owner_of(token) for token in tokens]


def test_token_add_prints_the_token_on_stdout_and_advice_on_stderr(
    file: TokenFile, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "add", "ci"]) == 0
    out, err = capsys.readouterr()
    assert owners(file, out.removesuffix("\n")) == ["ci"]
    assert str(file.path) in err
    assert "Authorization: Bearer" in err
    assert "token revoke ci" in err
    assert out.strip() not in err


def test_token_list_prints_names_and_times_only(
    file: TokenFile, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = [file.add(name) for name in ("ci", "bob")]
    assert main(["token", "list"]) == 0
    out, err = capsys.readouterr()
    heading, *rows = out.splitlines()
    assert heading.split() == ["name", "made"]
    assert [row.split()[0] for row in rows] == ["ci", "bob"]
    assert [token for token in tokens if token in out] == []
    assert err == ""


def test_token_list_json_prints_an_object_a_line(
    file: TokenFile, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ci", "bob"):
        file.add(name)
    assert main(["token", "list", "--json"]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [sorted(each) for each in printed] == [["made", "name"]] * 2
    assert [each["name"] for each in printed] == ["ci", "bob"]
    assert datetime.fromisoformat(printed[0]["made"]).tzinfo is not None


@pytest.mark.parametrize("words", [["list"], ["list", "--json"]])
def test_token_list_without_tokens_makes_no_file(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["token", *words]) == 0
    out, err = capsys.readouterr()
    assert (out, home.exists()) == ("", False)
    assert err == "There are no tokens; `context7-fabric token add NAME` makes one.\n"


def test_token_revoke_removes_the_token(
    file: TokenFile, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = [file.add(name) for name in ("ci", "bob")]
    assert main(["token", "revoke", "ci"]) == 0
    assert capsys.readouterr() == ("The token of ci is revoked.\n", "")
    assert owners(file, *tokens) == [None, "bob"]


def test_token_add_uses_the_file_of_the_setting(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTEXT7_FABRIC_TOKENS_FILE", str(tmp_path / "file"))
    assert main(["token", "add", "ci"]) == 0
    assert (tmp_path / "file").exists()
    assert not home.exists()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["add", "ci"], "'ci' has a token already"),
        (["revoke", "bob"], "there is no token named 'bob'"),
    ],
)
def test_token_error_is_one_line(
    file: TokenFile, capsys: pytest.CaptureFixture[str], words: list[str], error: str
) -> None:
    file.add("ci")
    assert main(["token", *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"context7-fabric: {file.path}: {error}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code"), [(["add", "bob"], 0), (["list"], 0), (["revoke", "bob"], 1)]
)
def test_token_with_a_bad_line_in_the_file_leaves_the_line_alone(
    file: TokenFile, home: Path, words: list[str], code: int
) -> None:
    home.mkdir()
    file.path.write_text("# fine\nci\n")
    assert main(["token", *words]) == code
    assert file.path.read_text().startswith("# fine\nci\n")


def test_token_list_names_the_line_that_is_left_out(
    file: TokenFile, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir()
    file.path.write_text("# fine\nci\n")
    assert main(["token", "list"]) == 0
    assert f"{file.path}, line 2: " in capsys.readouterr().err


def test_token_revoke_removes_a_bad_line_of_that_name(file: TokenFile, home: Path) -> None:
    home.mkdir()
    file.path.write_text("# fine\nci\n")
    assert main(["token", "revoke", "ci"]) == 0
    assert file.path.read_text() == "# fine\n"


@pytest.mark.parametrize(
    "words",
    [[], ["add"], ["add", "a b"], ["add", "x" * 61], ["add", "local"], ["revoke"], ["give", "ci"]],
)
def test_token_with_wrong_usage_makes_no_file(home: Path, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["token", *words])
    assert ended.value.code == 2
    assert not home.exists()
