"""The token file: its lines, and changes to it."""

from __future__ import annotations

import hmac
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.errors import TokenFileError
from context7_fabric.http_server.token_file import (
    LARGEST_FILE,
    MOST_TOKENS,
    TokenFile,
    digest_of,
    name_problem,
    read_entries,
    without_entry,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MADE = "2026-11-23T12:00:00+00:00"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Path of the file, in a folder that does not exist yet."""
    return tmp_path / "home" / "tokens"


@pytest.fixture
def file(path: Path) -> TokenFile:
    return TokenFile(path, today=NOON.timestamp)


def line(name: str, token: str) -> str:
    return f"{name} {digest_of(token)} {MADE}\n"


def wrote(path: Path, text: str) -> TokenFile:
    """A file that says `text`."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return TokenFile(path)


def refused(file: TokenFile) -> TokenFileError:
    with pytest.raises(TokenFileError) as raised:
        file.read()
    assert raised.value.path == str(file.path)
    return raised.value


class TestAdding:
    def test_add_stores_the_digest_and_not_the_token(self, file: TokenFile) -> None:
        token = file.add("ci")
        file.read()
        assert token.startswith("c7f_")
        assert len(token) == 4 + 43
        assert file.names() == ("ci",)
        assert file.owner_of(token) == "ci"
        assert token not in file.path.read_text()
        assert file.path.read_text().splitlines()[1:] == [line("ci", token).strip()]

    def test_add_makes_a_different_token_each_time(self, file: TokenFile) -> None:
        tokens = [file.add(name) for name in ("a", "b")]
        file.read()
        assert [file.owner_of(token) for token in tokens] == ["a", "b"]
        assert [entry.made for entry in file.entries()] == [NOON, NOON]

    @pytest.mark.parametrize("broken", ["", "\n"])
    def test_add_and_revoke_keep_the_rest_of_the_file(self, path: Path, broken: str) -> None:
        before = f"# the build server\n\n  {line('ci', 'x')}# the end{broken}"
        file = wrote(path, before)
        file.add("bob")
        after = path.read_text()
        assert after.startswith(before)
        assert after[len(before) :].strip().startswith("bob ")
        file.revoke("bob")
        assert path.read_text() == before.rstrip("\n") + "\n"

    def test_a_name_that_is_taken_keeps_its_token(self, file: TokenFile) -> None:
        token = file.add("ci")
        with pytest.raises(TokenFileError, match="'ci' has a token already: revoke it first"):
            file.add("ci")
        file.read()
        assert file.owner_of(token) == "ci"

    @pytest.mark.parametrize("name", ["", "a b", "a#", "ü", "a\n", "x" * 61, "../a", "local"])
    def test_add_of_an_invalid_name_changes_nothing(self, file: TokenFile, name: str) -> None:
        with pytest.raises(TokenFileError):
            file.add(name)
        assert not file.path.exists()

    def test_a_thousand_are_enough(self, path: Path) -> None:
        full = "".join(line(f"n{number}", f"t{number}") for number in range(MOST_TOKENS))
        file = wrote(path, full)
        with pytest.raises(TokenFileError, match="more than 1,000 tokens"):
            file.add("one-more")
        assert path.read_text() == full

    def test_a_file_never_grows_beyond_what_is_read(self, path: Path) -> None:
        full = "#" * (LARGEST_FILE - 20) + "\n"
        file = wrote(path, full)
        with pytest.raises(TokenFileError, match="it would have more than 262,144 bytes"):
            file.add("ci")
        assert path.read_text() == full
        assert list(path.parent.iterdir()) == [path]

    def test_add_without_a_usable_folder_fails(self, tmp_path: Path) -> None:
        (tmp_path / "home").touch()
        with pytest.raises(TokenFileError, match="it cannot be changed: "):
            TokenFile(tmp_path / "home" / "sub" / "tokens").add("ci")

    def test_the_file_is_its_owners_alone_whatever_it_was(self, path: Path) -> None:
        file = wrote(path, "")
        path.chmod(0o666)
        file.add("ci")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_add_keeps_the_owner_of_the_file(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given: list[tuple[int, int]] = []
        monkeypatch.setattr(os, "fchown", lambda _file, user, group: given.append((user, group)))
        wrote(path, "").add("ci")
        assert given == [(path.stat().st_uid, path.stat().st_gid)]

    def test_a_link_stays_a_link(self, path: Path, tmp_path: Path) -> None:
        wrote(path, "")
        link = tmp_path / "link"
        link.symlink_to(path)
        token = TokenFile(link).add("ci")
        assert link.is_symlink()
        assert digest_of(token) in path.read_text()


class TestRevoking:
    def test_takes_away_one_and_leaves_the_others(self, file: TokenFile) -> None:
        tokens = {name: file.add(name) for name in ("a", "b", "a.b")}
        file.revoke("a")
        file.read()
        assert [file.owner_of(tokens[name]) for name in tokens] == [None, "b", "a.b"]

    def test_revoke_of_an_unknown_name_fails(self, file: TokenFile) -> None:
        file.add("a")
        with pytest.raises(TokenFileError, match="there is no token named 'b'"):
            file.revoke("b")

    def test_revoke_without_a_file_fails_and_makes_none(self, file: TokenFile) -> None:
        with pytest.raises(TokenFileError, match="there is no such file"):
            file.revoke("b")
        assert not file.path.parent.exists()

    def test_separators_of_other_kinds_do_not_tear_a_comment(self) -> None:
        comment = "# a\u2028ci b\x0cci c\rci d\n"
        assert without_entry(comment + line("ci", "x"), "ci", "f") == comment


class TestReading:
    def test_comments_blank_lines_and_other_ends_of_lines_say_nothing(self, path: Path) -> None:
        text = f"\ufeff# ü\r\n\r\n\t{line('ci', 'x')[:-1]}\r\n#{line('bob', 'y')}"
        file = wrote(path, text)
        file.read()
        assert file.names() == ("ci",)
        assert file.owner_of("x") == "ci"

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            ("ci\n", "a line is a name, a SHA-256 and a time"),
            (f"{line('ci', 'x')[:-1]} more\n", "a line is a name"),
            (line("c/i", "x"), "the first word is no name"),
            (line("c\udce9i", "x"), "the first word is no name"),
            (line("local", "x"), "is the name of this machine's user"),
            (f"ci {'0' * 63} {MADE}\n", "is no SHA-256"),
            (f"ci {'G' * 64} {MADE}\n", "is no SHA-256"),
            (f"ci {'0' * 64} yesterday\n", "is no time"),
            (f"ci {'0' * 64} 2026-11-23T12:00:00\n", "is no time"),
            (line("ann", "x"), "the name of 'ann' is there twice"),
            (line("ci", "a"), "the token of 'ci' is there twice"),
        ],
    )
    def test_read_with_a_bad_line_leaves_out_that_line_and_logs_its_number(
        self, path: Path, caplog: pytest.LogCaptureFixture, bad: str, reason: str
    ) -> None:
        path.parent.mkdir()
        text = f"# \udce4\n{line('ann', 'a')}{bad}{line('bob', 'b')}"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        file = TokenFile(path)
        file.read()
        assert file.names() == ("ann", "bob")
        assert [file.owner_of(token) for token in "abx"] == ["ann", "bob", None]
        (logged,) = caplog.messages
        assert logged.startswith(f"a token is left out: {path}, line 3: ")
        assert reason in logged
        file.add("eve")
        file.revoke("bob")
        kept = f"# \udce4\n{line('ann', 'a')}{bad}eve "
        assert path.read_bytes().startswith(kept.encode("utf-8", "surrogateescape"))

    def test_read_of_a_token_in_a_names_place_does_not_log_it(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        wrote(path, f"c7f_{'s' * 80} {digest_of('x')} {MADE}\nc7f_{'s' * 43}\n").read()
        assert len(caplog.messages) == 2
        assert "sss" not in caplog.text

    def test_revoke_of_a_name_whose_line_is_bad_takes_the_line_away(self, path: Path) -> None:
        file = wrote(path, f"ci broken\n{line('ann', 'a')}")
        file.revoke("ci")
        assert path.read_text() == line("ann", "a")

    def test_read_without_a_file_names_the_command_that_makes_one(self, file: TokenFile) -> None:
        assert "`context7-fabric token add NAME` makes it" in refused(file).reason

    def test_a_folder_a_pipe_and_bytes_are_no_token_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "bytes").write_bytes(b"\xff\xfe\0")
        reasons = [refused(TokenFile(path)).reason for path in (tmp_path, tmp_path / "pipe")]
        reasons.append(refused(TokenFile(tmp_path / "bytes")).reason)
        assert reasons == ["it cannot be read: Is a directory", "it is no file", "it is no text"]

    def test_read_of_a_file_that_is_too_large_fails(self, path: Path) -> None:
        wrote(path, "#" * LARGEST_FILE).read()
        assert refused(wrote(path, "#" * (LARGEST_FILE + 1))).reason == (
            "it has more than 262,144 bytes"
        )

    @given(st.text(max_size=200))
    def test_any_text_is_entries_or_an_error(self, text: str) -> None:
        try:
            names = [entry.name for entry in read_entries(text, "f").tokens]
        except TokenFileError:
            return
        assert [name for name in names if name_problem(name)] == []


class TestOwners:
    def test_owner_of_a_token_before_the_file_is_read_is_none(self, file: TokenFile) -> None:
        token = file.add("ci")
        assert file.owner_of(token) is None

    def test_every_entry_is_compared_wherever_the_owner_stands(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = wrote(path, "".join(line(name, name) for name in "abc"))
        file.read()
        compared: list[object] = []
        compare = hmac.compare_digest

        def counted(known: str, given: str) -> bool:
            compared.append(known)
            return compare(known, given)

        monkeypatch.setattr(hmac, "compare_digest", counted)
        assert [file.owner_of(token) for token in "abcd"] == ["a", "b", "c", None]
        assert compared == [digest_of(name) for name in "abc"] * 4

    @pytest.mark.parametrize("token", ["", "ü", "\ud800", "x" * 100_000, digest_of("x")])
    def test_owner_of_text_that_is_no_token_is_none(self, path: Path, token: str) -> None:
        file = wrote(path, line("ci", "x"))
        file.read()
        assert file.owner_of(token) is None
