"""`token`: what it prints where, and what is wrong usage."""

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


def test_the_token_is_alone_on_stdout_and_the_advice_on_stderr(
    file: TokenFile, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "add", "ci"]) == 0
    out, err = capsys.readouterr()
    assert owners(file, out.removesuffix("\n")) == ["ci"]
    assert str(file.path) in err
    assert "Authorization: Bearer" in err
    assert "token revoke ci" in err
    assert out.strip() not in err


def test_the_list_tells_names_and_times_and_no_more(
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


def test_the_list_as_json_is_an_object_a_line(
    file: TokenFile, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ci", "bob"):
        file.add(name)
    assert main(["token", "list", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [sorted(each) for each in told] == [["made", "name"]] * 2
    assert [each["name"] for each in told] == ["ci", "bob"]
    assert datetime.fromisoformat(told[0]["made"]).tzinfo is not None


@pytest.mark.parametrize("words", [["list"], ["list", "--json"]])
def test_a_list_of_nobody_says_so_and_makes_no_file(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["token", *words]) == 0
    out, err = capsys.readouterr()
    assert (out, home.exists()) == ("", False)
    assert err == "There are no tokens; `context7-fabric token add NAME` makes one.\n"


def test_a_token_is_taken_back(file: TokenFile, capsys: pytest.CaptureFixture[str]) -> None:
    tokens = [file.add(name) for name in ("ci", "bob")]
    assert main(["token", "revoke", "ci"]) == 0
    assert capsys.readouterr() == ("The token of ci is revoked.\n", "")
    assert owners(file, *tokens) == [None, "bob"]


def test_the_file_can_be_elsewhere(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTEXT7_FABRIC_TOKENS_FILE", str(tmp_path / "who"))
    assert main(["token", "add", "ci"]) == 0
    assert (tmp_path / "who").exists()
    assert not home.exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["add", "ci"], "'ci' has a token already"),
        (["revoke", "bob"], "there is no token named 'bob'"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    file: TokenFile, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    file.add("ci")
    assert main(["token", *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"context7-fabric: {file.path}: {told}")
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
    file: TokenFile, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home.mkdir()
    file.path.write_text("# fine\nci\n")
    assert main(["token", "list"]) == 0
    assert f"{file.path}, line 2: " in caplog.text


def test_token_revoke_removes_a_bad_line_of_that_name(file: TokenFile, home: Path) -> None:
    home.mkdir()
    file.path.write_text("# fine\nci\n")
    assert main(["token", "revoke", "ci"]) == 0
    assert file.path.read_text() == "# fine\n"


@pytest.mark.parametrize(
    "words",
    [[], ["add"], ["add", "a b"], ["add", "x" * 61], ["add", "local"], ["revoke"], ["give", "ci"]],
)
def test_wrong_usage_changes_nothing(home: Path, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["token", *words])
    assert ended.value.code == 2
    assert not home.exists()
