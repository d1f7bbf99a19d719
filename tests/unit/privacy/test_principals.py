"""Principals tell callers apart and give no key away; the secret behind them stays private."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.models import PUBLIC
from context7_fabric.privacy.principals import SECRET_BYTES, principal_of, read_secret

SECRET = b"s" * SECRET_BYTES
ANY_TEXT = st.text(st.characters(exclude_categories=()), min_size=1)


def test_without_name_and_credential_it_is_the_public() -> None:
    assert principal_of(None, None, SECRET) == PUBLIC


def test_a_name_goes_before_a_credential_and_outlives_it() -> None:
    named = {principal_of("me", key, SECRET) for key in (None, "old key", "new key")}
    assert named == {"name-me"}


def test_a_credential_is_a_fingerprint_that_depends_on_the_secret() -> None:
    fingerprint = principal_of(None, "ctx7sk-1", SECRET)
    assert fingerprint == principal_of(None, "ctx7sk-1", SECRET)
    assert fingerprint != principal_of(None, "ctx7sk-2", SECRET)
    assert fingerprint != principal_of(None, "ctx7sk-1", b"t" * SECRET_BYTES)
    assert "ctx7sk" not in fingerprint
    assert len(fingerprint) == len("key-") + 24


@given(ANY_TEXT, ANY_TEXT)
def test_different_names_and_keys_are_different_principals(one: str, other: str) -> None:
    made = {principal_of(one, None, SECRET), principal_of(None, one, SECRET), PUBLIC}
    made |= {principal_of(other, None, SECRET), principal_of(None, other, SECRET)}
    assert len(made) == (3 if one == other else 5)


@given(ANY_TEXT)
def test_a_principal_holds_no_sign_with_a_meaning_in_keys(name: str) -> None:
    assert not set("#/:*?[ \n") & set(principal_of(name, None, SECRET))


class TestSecret:
    def test_it_is_made_once_private_and_then_kept(self, tmp_path: Path) -> None:
        secret = read_secret(tmp_path)
        assert len(secret) == SECRET_BYTES
        assert read_secret(tmp_path) == secret == (tmp_path / "secret").read_bytes()
        assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
        assert [path.name for path in tmp_path.iterdir()] == ["secret"]

    def test_two_homes_have_two_secrets(self, tmp_path: Path) -> None:
        homes = [tmp_path / "one", tmp_path / "two"]
        for home in homes:
            home.mkdir()
        assert read_secret(homes[0]) != read_secret(homes[1])

    def test_processes_that_create_it_at_once_get_the_same(self, tmp_path: Path) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = set(pool.map(read_secret, [tmp_path] * 40))
        assert len(made) == 1
        assert [path.name for path in tmp_path.iterdir()] == ["secret"]

    def test_the_second_process_takes_the_secret_of_the_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        link = os.link

        def link_late(source: Path, target: Path) -> None:
            target.write_bytes(SECRET)
            link(source, target)

        monkeypatch.setattr(os, "link", link_late)
        assert read_secret(tmp_path) == SECRET
        assert [path.name for path in tmp_path.iterdir()] == ["secret"]

    @pytest.mark.parametrize("left", [b"", b"short", b"x" * 100])
    def test_one_that_was_cut_short_is_made_anew(self, tmp_path: Path, left: bytes) -> None:
        (tmp_path / "secret").write_bytes(left)
        secret = read_secret(tmp_path)
        assert len(secret) == SECRET_BYTES
        assert read_secret(tmp_path) == secret
        assert [path.name for path in tmp_path.iterdir()] == ["secret"]

    @pytest.mark.parametrize("home", ["missing", "file", "file/below"])
    def test_a_home_that_cannot_be_written_gives_one_for_this_process(
        self, tmp_path: Path, home: str
    ) -> None:
        (tmp_path / "file").touch()
        secrets = {read_secret(tmp_path / home) for _ in range(2)}
        assert len(secrets) == 2
        assert {len(secret) for secret in secrets} == {SECRET_BYTES}
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def test_something_else_in_its_place_gives_one_for_this_process(self, tmp_path: Path) -> None:
        (tmp_path / "secret").mkdir()
        assert len(read_secret(tmp_path)) == SECRET_BYTES
        assert [path.name for path in tmp_path.iterdir()] == ["secret"]
