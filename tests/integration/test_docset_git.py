"""Documentation out of git repositories: the real git, over HTTPS, from a server on loopback."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event

import anyio
import pytest
from anyio import from_thread, lowlevel

from context7_fabric.docsets.sources.fetching import fetch, latest_revision
from context7_fabric.docsets.sources.files import documents, include_resolver
from context7_fabric.docsets.sources.source import (
    Document,
    Omitted,
    SourceBounds,
    SourceTree,
    parse_source,
)
from context7_fabric.errors import (
    DocsetSourceError,
    SourceNotFound,
    SourceRefused,
    SourceTooLarge,
    SourceUnavailable,
)
from context7_fabric.settings.values import DocsetSettings
from support.git_server import Answer, GitServer, git, git_server
from support.names import changing_name

BOUNDS = SourceBounds(seconds=30)
HOSTS = frozenset({"localhost"})
FETCH_POST = 3
"""Number of the request for the pack: before it the refs are asked for, twice."""

HUGE_BLOB = bytes([0xB0, 0x80, 0x80, 0x80, 0x80, 0x40])
"""Head of a blob of 2**40 bytes in a pack: its type, and its size by seven bits."""

PLAIN = {"PATH": os.environ["PATH"]}
MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy of this"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with git_server(tmp_path_factory.mktemp("git")) as server:
        yield server


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def settings(server: GitServer, **variables: str) -> DocsetSettings:
    environment = {
        "PATH": os.environ["PATH"],
        "SSL_CERT_FILE": str(server.authority),
        **variables,
    }
    return DocsetSettings(HOSTS, private_addresses=True, environment=environment)


async def fetched(
    server: GitServer,
    name: str,
    into: Path,
    *,
    version: str | None = None,
    bounds: SourceBounds = BOUNDS,
    with_settings: DocsetSettings | None = None,
) -> SourceTree:
    source = parse_source(f"git+{server.url}/{name}", Path("/"))
    return await fetch(
        source,
        into,
        bounds,
        lambda _line: None,
        with_settings or settings(server),
        version=version,
    )


def read(tree: SourceTree) -> dict[str, str]:
    found = list(documents(tree, BOUNDS))
    return {each.path: each.text for each in found if isinstance(each, Document)}


def left_out(tree: SourceTree) -> dict[str, str]:
    found = list(documents(tree, BOUNDS))
    return {each.path: each.reason for each in found if isinstance(each, Omitted)}


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@contextmanager
def answering(server: GitServer, answer: Answer) -> Iterator[None]:
    """Have requests answered by `answer` for the length of the block."""
    server.answer = answer
    try:
        yield
    finally:
        server.answer = lambda _request: False


@contextmanager
def silent(server: GitServer, asked: anyio.Event) -> Iterator[None]:
    """Answer nothing for the length of the block; set `asked` at the first request."""
    over = Event()

    def wait(_request: BaseHTTPRequestHandler) -> bool:
        from_thread.run_sync(asked.set, token=token)
        return over.wait(30)

    token = lowlevel.current_token()
    with answering(server, wait):
        try:
            yield
        finally:
            over.set()


@contextmanager
def endless_pack(server: GitServer) -> Iterator[None]:
    """Answer a clone by one object of a million MB, of which five come before the server waits."""
    over, posts = Event(), list[str]()

    def send(request: BaseHTTPRequestHandler) -> bool:
        posts.extend([request.path] if request.command == "POST" else [])
        if len(posts) < FETCH_POST:
            return False
        request.rfile.read(int(request.headers["Content-Length"]))
        request.send_response(200)
        request.send_header("Content-Type", "application/x-git-upload-pack-result")
        request.send_header("Connection", "close")
        request.end_headers()
        packing = zlib.compressobj(0)
        head = b"PACK" + struct.pack(">LL", 2, 1) + HUGE_BLOB
        request.wfile.write(packet(b"packfile\n") + packet(b"\1" + head))
        for _each in range(100):
            packed = packing.compress(os.urandom(50_000))
            for at in range(0, len(packed), 50_000):
                request.wfile.write(packet(b"\1" + packed[at : at + 50_000]))
        request.wfile.flush()
        return over.wait(30)

    with answering(server, send):
        try:
            yield
        finally:
            over.set()


def packet(data: bytes) -> bytes:
    """Return a line of git's protocol."""
    return f"{len(data) + 4:04x}".encode() + data


def processes_of(name: str) -> list[str]:
    """Return the command lines of processes that name a repository."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_text())
    return [line for line in found if name in line]


async def test_fetch_of_a_version_reads_the_documents_of_its_tag(
    server: GitServer, into: Path
) -> None:
    files = {
        "README.md": "# Project",
        "LICENSE": MIT,
        "docs/a.md": "# A",
        "docs/logo.png": "png",
        "docs_src/a.py": "x = 1",
        "src/code.py": "y = 1",
    }
    path = server.repository("tagged/project", files, "other@1.2.3", "project@1.2.3")
    tagged = git(path, "rev-parse", "HEAD")
    newest = server.commit(path, {"docs/b.md": "# B"})

    tree = await fetched(server, "tagged/project", into, version="1.2.3")
    assert read(tree) == {"README.md": "# Project", "docs/a.md": "# A"}
    assert (tree.revision, tree.note) == (tagged, "tag project@1.2.3")
    assert (tree.version, tree.licence) == ("1.2.3", "MIT")
    assert include_resolver(tree, BOUNDS)("docs/a.md", "../docs_src/a.py") == "x = 1"
    assert not (tree.root / "src").exists()
    assert not (tree.root / "docs" / "logo.png").exists()

    source = parse_source(tree.source, Path("/"))
    latest = await latest_revision(source, BOUNDS, settings(server))
    assert latest == newest
    at_tag = await latest_revision(source, BOUNDS, settings(server), version="1.2.3")
    assert at_tag == tagged


async def test_fetch_of_folders_at_a_commit_reads_those_alone(
    server: GitServer, into: Path
) -> None:
    files = {"a.md": "# A", "guide/b.md": "# B", "ref [x]/c.rst": "C\n=", "d/e.md": "# E"}
    path = server.repository("org/parts", files)
    commit = git(path, "rev-parse", "HEAD")
    server.commit(path, {"guide/b.md": "# New"})
    tree = await fetched(server, f"org/parts@{commit} --path guide --path 'ref [x]/c.rst'", into)
    assert read(tree) == {"guide/b.md": "# B", "ref [x]/c.rst": "C\n="}
    assert tree.revision == commit


async def test_fetch_without_a_fitting_tag_takes_the_default_branch_and_says_so(
    server: GitServer, into: Path
) -> None:
    server.repository("org/untagged", {"a.md": "# A"}, "v1.0.0")
    tree = await fetched(server, "org/untagged", into, version="9.9")
    assert tree.note == "no tag fits '9.9': default branch main, filed without a version"
    assert (tree.version, tree.documents) == (None, None)


@pytest.mark.parametrize(
    ("version", "documents", "note"),
    [
        ("1.2", "1.2.5", "tag v1.2.5"),
        ("1.2.5", "1.2.5", "tag v1.2.5"),
        ("3.1", "3.1", "no tag fits '3.1': default branch main, its folder of 3.1"),
        ("3.2", None, "no tag fits '3.2': default branch main, filed without a version"),
        (None, None, "default branch main"),
    ],
)
async def test_fetch_of_a_version_says_the_one_that_a_tag_or_a_folder_shows(
    server: GitServer, into: Path, version: str | None, documents: str | None, note: str
) -> None:
    files = {"v3.1/a.md": "# Old", "v3.4/a.md": "# New"}
    name = f"org/shown-{version}"
    server.repository(name, files, "v1.2.3", "v1.2.5")
    tree = await fetched(server, name, into, version=version)
    assert (tree.documents, tree.note) == (documents, note)
    assert list(read(tree)) == ["v3.1/a.md" if version == "3.1" else "v3.4/a.md"]


async def test_fetch_of_a_hostile_repository_runs_and_follows_nothing(
    server: GitServer, into: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    path = server.repository(
        "org/hostile",
        {
            "a.md": "# A",
            ".gitattributes": "*.md filter=evil\n*.txt filter=lfs",
            ".gitmodules": f'[submodule "s"]\n\tpath = s\n\turl = ext::sh -c "touch {mark}"\n',
            ".githooks/post-checkout": f"#!/bin/sh\ntouch {mark}\n",
            "big.txt": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        },
    )
    (path / "passwd.md").symlink_to("/etc/passwd")
    (path / "root").symlink_to("/")
    (path / ".githooks" / "post-checkout").chmod(0o755)
    head = git(path, "rev-parse", "HEAD")
    git(path, "update-index", "--add", "--cacheinfo", f"160000,{head},s")
    server.commit(path, {})
    for hook in ("post-checkout", "post-merge"):
        target = path / ".git" / "hooks" / hook
        target.write_text(f"#!/bin/sh\ntouch {mark}\n")
        target.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f"[core]\n\thooksPath = {path}/.githooks\n\tfsmonitor = touch {mark}\n"
        f'[filter "evil"]\n\tsmudge = touch {mark}; cat\n'
        f"[credential]\n\thelper = !touch {mark}\n"
        '[url "file:///"]\n\tinsteadOf = https://\n'
    )

    tree = await fetched(
        server, "org/hostile", into, with_settings=settings(server, HOME=str(home))
    )
    assert read(tree) == {
        "a.md": "# A",
        "big.txt": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    }
    assert left_out(tree)["passwd.md"] == "symbolic link"
    assert not mark.exists()
    assert include_resolver(tree, BOUNDS)("a.md", "passwd.md") is None


async def test_fetch_connects_to_the_address_that_was_checked(
    tmp_path: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git cannot resolve the name, so only the address that was checked leads to the server."""
    changing_name(monkeypatch, "rebind.test")
    with git_server(tmp_path, "rebind.test") as server:
        server.repository("org/pinned", {"a.md": "# A"})
        names = replace(settings(server), hosts=frozenset({"rebind.test"}))
        assert read(await fetched(server, "org/pinned", into, with_settings=names)) == {
            "a.md": "# A"
        }


async def test_fetch_with_a_proxy_in_the_users_configuration_uses_it(
    server: GitServer, into: Path, tmp_path: Path
) -> None:
    server.repository("org/proxied", {"a.md": "# A"})
    (tmp_path / ".gitconfig").write_text("[http]\n\tproxy = http://me:hunter2@127.0.0.1:9\n")
    with pytest.raises(SourceUnavailable) as caught:
        await fetched(
            server, "org/proxied", into, with_settings=settings(server, HOME=str(tmp_path))
        )
    assert "127.0.0.1 port 9" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        ("org/gone", SourceNotFound, "no public repository"),
        ("org/errors@nope", SourceNotFound, "no branch or tag 'nope'"),
        ("org/errors --path nope", SourceNotFound, "it has no 'nope'"),
        ("org/errors --path src", SourceNotFound, "no documentation"),
        ("org/empty", SourceNotFound, "the repository is empty"),
    ],
)
async def test_fetch_of_what_is_not_there_raises_and_leaves_nothing(
    server: GitServer, into: Path, name: str, error: type[DocsetSourceError], reason: str
) -> None:
    if not (server.root / "org" / "errors").exists():
        server.repository("org/errors", {"a.md": "# A", "src/a.py": "x"})
        (server.root / "org" / "empty").mkdir()
        git(server.root / "org" / "empty", "init", "--quiet")
    with pytest.raises(error, match=reason) as caught:
        await fetched(server, name, into)
    assert str(caught.value).isprintable()
    assert names(into) == []


@pytest.mark.parametrize(
    "target",
    ["https://localhost:1/x", "https://127.0.0.1:1/x", "http://169.254.169.254/", "file:///etc"],
)
async def test_fetch_never_follows_a_redirect(server: GitServer, into: Path, target: str) -> None:
    def redirect(request: BaseHTTPRequestHandler) -> bool:
        request.send_response(302)
        request.send_header("Location", target)
        request.send_header("Content-Length", "0")
        request.end_headers()
        return True

    with (
        answering(server, redirect),
        pytest.raises(SourceRefused, match="redirects to another address"),
    ):
        await fetched(server, "org/moved", into)


async def test_fetch_from_a_server_without_filters_is_bounded_in_size(
    server: GitServer, into: Path
) -> None:
    path = server.repository("org/large", {"a.md": "# A"})
    (path / "large.bin").write_bytes(os.urandom(2_000_000))
    server.commit(path, {})
    server.filters = False
    try:
        with pytest.raises(SourceTooLarge, match=r"more than 1 MB would be fetched.*--max-size$"):
            await fetched(
                server, "org/large", into, bounds=replace(BOUNDS, transfer_bytes=1_000_000)
            )
    finally:
        server.filters = True
    assert names(into) == []


async def test_fetch_of_an_endless_pack_is_ended_while_it_comes(
    server: GitServer, into: Path
) -> None:
    server.repository("org/endless", {"a.md": "# A"})
    with (
        endless_pack(server),
        pytest.raises(SourceTooLarge, match=r"more than 1 MB would be fetched.*--max-size$"),
    ):
        await fetched(server, "org/endless", into, bounds=replace(BOUNDS, transfer_bytes=1_000_000))
    assert processes_of("org/endless") == []
    assert names(into) == []


async def test_fetch_of_many_files_is_refused_before_they_are_written(
    server: GitServer, into: Path
) -> None:
    server.repository("org/many", {f"{at}.md": "#" for at in range(30)})
    with pytest.raises(SourceTooLarge, match=r"more than 20 files.*; no option"):
        await fetched(server, "org/many", into, bounds=replace(BOUNDS, entries=20))


async def test_fetch_of_a_tree_that_repeats_itself_is_refused(
    server: GitServer, into: Path
) -> None:
    """Ten trees of ten entries each name ten thousand million files."""
    path = server.repository("org/bomb", {"a.md": "# A"})
    entry = f"100644 blob {git(path, 'rev-parse', 'HEAD:a.md')}\ta.md"
    for _level in range(10):
        names = [entry.replace("\ta", f"\t{at}") for at in range(10)]
        entry = f"040000 tree {git(path, 'mktree', given=chr(10).join(names))}\ta"
    tree = entry.split()[2]
    git(path, "update-ref", "refs/heads/main", git(path, "commit-tree", tree, "-m", "x"))
    with pytest.raises(SourceTooLarge, match="more than 2,000 files"):
        await fetched(server, "org/bomb", into, bounds=replace(BOUNDS, entries=2000))


async def test_fetch_from_a_silent_server_ends_git_with_all_its_processes(
    server: GitServer, into: Path
) -> None:
    with silent(server, anyio.Event()):
        with pytest.raises(SourceTooLarge, match="longer than 1 s"):
            await fetched(server, "org/silent", into, bounds=replace(BOUNDS, seconds=1))
        assert processes_of("org/silent") == []
    assert names(into) == []


async def test_fetch_from_a_server_that_sends_nothing_is_given_up_by_git(
    server: GitServer, into: Path
) -> None:
    with (
        silent(server, anyio.Event()),
        pytest.raises(SourceUnavailable, match="next to nothing"),
    ):
        await fetched(server, "org/idle", into, bounds=replace(BOUNDS, idle=1))


async def test_fetch_that_is_cancelled_ends_git_and_leaves_nothing(
    server: GitServer, into: Path
) -> None:
    asked = anyio.Event()
    with silent(server, asked):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fetched, server, "org/cancelled", into)
            await asked.wait()
            assert processes_of("org/cancelled")
            tasks.cancel_scope.cancel()
        assert processes_of("org/cancelled") == []
    assert names(into) == []


async def test_fetch_without_git_or_with_an_old_one_says_so(
    server: GitServer, into: Path, tmp_path: Path
) -> None:
    with pytest.raises(SourceUnavailable, match="git is not installed"):
        await fetched(
            server, "o/r", into, with_settings=settings(server, PATH=str(tmp_path / "none"))
        )
    old = tmp_path / "bin" / "git"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho git version 2.36.9\n")
    old.chmod(0o755)
    with pytest.raises(SourceUnavailable, match=r"git 2\.37 or later is needed"):
        await fetched(server, "o/r", into, with_settings=settings(server, PATH=str(old.parent)))


async def test_fetch_from_an_untrusted_server_names_the_variable(
    server: GitServer, into: Path
) -> None:
    plain = DocsetSettings(HOSTS, private_addresses=True, environment=PLAIN)
    with pytest.raises(SourceUnavailable, match="SSL_CERT_FILE"):
        await fetched(server, "o/r", into, with_settings=plain)


async def test_fetch_of_a_private_address_is_refused_without_the_setting(
    server: GitServer, into: Path
) -> None:
    public = DocsetSettings(HOSTS, environment=PLAIN)
    with pytest.raises(SourceRefused, match="PRIVATE_ADDRESSES"):
        await fetched(server, "o/r", into, with_settings=public)
