"""Addresses, patterns and messages of git repositories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from context7_fabric.docsets.sources.git import blob_address, patterns, read_refs, remote
from context7_fabric.docsets.sources.git_process import failure, git_program, user_network
from context7_fabric.errors import (
    DocsetSourceError,
    SourceNotFound,
    SourceRefused,
    SourceUnavailable,
)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://github.com/o/r", "https://github.com/o/r/blob/c0/docs/a.md"),
        ("https://github.com/o/r.git", "https://github.com/o/r/blob/c0/docs/a.md"),
        ("https://gitlab.com/g/s/r", "https://gitlab.com/g/s/r/-/blob/c0/docs/a.md"),
        (
            "https://gitlab.corp.org:8443/o/r",
            "https://gitlab.corp.org:8443/o/r/-/blob/c0/docs/a.md",
        ),
        ("https://codeberg.org/o/r", "https://codeberg.org/o/r/src/commit/c0/docs/a.md"),
        ("https://bitbucket.org/o/r", "https://bitbucket.org/o/r/src/c0/docs/a.md"),
        ("https://git.sr.ht/~o/r", "https://git.sr.ht/~o/r/tree/c0/item/docs/a.md"),
        ("https://code.example.org/o/r", ""),
    ],
)
def test_blob_address_of_each_forge(url: str, address: str) -> None:
    assert blob_address(url, "c0").format(path="docs/a.md") == address


def test_remote_of_gitlab_has_the_suffix_that_it_redirects_to() -> None:
    assert remote("https://gitlab.com/o/r") == "https://gitlab.com/o/r.git"
    assert remote("https://gitlab.com/o/r.git") == "https://gitlab.com/o/r.git"
    assert remote("https://github.com/o/r") == "https://github.com/o/r"


def test_patterns_of_parts_name_them_literally_and_leave_images_out() -> None:
    found = patterns(("docs", "a[b]*?.md"))
    assert "/docs" in found
    assert r"/a\[b]\*\?.md" in found
    assert "!*.png" in found
    assert "*.md" not in found
    assert "*.md" in patterns(())


def test_read_refs_prefers_the_commit_of_an_annotated_tag() -> None:
    commit, tag = "a" * 40, "b" * 40
    text = (
        f"ref: refs/heads/trunk\tHEAD\n{commit}\tHEAD\n{tag}\trefs/tags/v1\n"
        f"{commit}\trefs/tags/v1^{{}}\nnonsense\n{commit}\trefs/tags/"
    ).encode() + b"\xff\n"
    assert read_refs(text) == ({"HEAD": commit, "refs/tags/v1": commit}, "trunk")


@pytest.mark.parametrize(
    ("words", "error", "reason"),
    [
        ("fatal: Remote branch x not found in upstream origin", SourceNotFound, "no such branch"),
        ("fatal: could not read Username for 'https://h'", SourceNotFound, "no public repository"),
        ("error: RPC failed; The requested URL returned error: 301", SourceRefused, "redirects"),
        ("fatal: unable to access: SSL certificate problem", SourceUnavailable, "certificate"),
        ("error: RPC failed; curl 28 Operation too slow.", SourceUnavailable, "next to nothing"),
        (
            "error: object a: hasDotgit\nfatal: fsck error",
            SourceRefused,
            "damaged",
        ),
        ("fatal: odd\x1b[2J", SourceUnavailable, "git failed"),
        ("", SourceUnavailable, "no reason given"),
        ("fatal: via https://me:hunter2@proxy", SourceUnavailable, "https://…@proxy"),
    ],
)
def test_failure_of_git_in_one_line(
    words: str, error: type[DocsetSourceError], reason: str
) -> None:
    found = failure("git+https://h/o/r", words)
    assert type(found) is error
    assert reason in str(found)
    assert str(found).isprintable()
    assert "hunter2" not in str(found)


async def test_git_program_that_says_nothing_is_too_old(tmp_path: Path) -> None:
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    with pytest.raises(SourceUnavailable, match="or later is needed"):
        await git_program("x", {"PATH": str(tmp_path)})


async def test_user_network_has_the_proxy_and_certificates_of_the_users_configuration(
    tmp_path: Path,
) -> None:
    (tmp_path / ".gitconfig").write_text(
        "[http]\n\tproxy = http://proxy:3128\n\tsslCAInfo = ~/ca.pem\n\tsslVerify = false\n"
        '[http "https://other.org"]\n\tproxy = http://other:1\n'
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SSL_CERT_DIR": "/certs"}
    program = await git_program("x", environment)
    found = await user_network(program, "https://example.org/o/r", tmp_path, environment)
    assert {name: text for name, text in found.items() if name not in environment} == {
        "https_proxy": "http://proxy:3128",
        "GIT_SSL_CAINFO": f"{tmp_path}/ca.pem",
        "GIT_SSL_CAPATH": "/certs",
    }
