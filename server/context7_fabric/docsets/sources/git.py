"""Git repositories over https: a shallow copy of the documentation, by a git that trusts nothing.

The program runs with an environment of its own and without the user's configuration, so that no
hook, filter, credential, submodule, redirect or other protocol takes part; it reaches only the
address that was checked. Time, size and number of files are watched while it runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from anyio import to_thread

from context7_fabric.docsets.sources.addresses import (
    CheckedAddress,
    check_forge,
    checked_address,
)
from context7_fabric.docsets.sources.files import holds_version
from context7_fabric.docsets.sources.git_process import GitProcess, git_program, user_network
from context7_fabric.docsets.sources.selection import READ, UNREAD
from context7_fabric.docsets.sources.source import GitSource, SourceBounds, SourceFetch, SourceTree
from context7_fabric.docsets.sources.tags import fitting_tag, version_of_tag
from context7_fabric.errors import SourceNotFound, SourceTooLarge

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_GLOB, _ESCAPED = re.compile(r"[*?\[\\]"), r"\\\g<0>"
_LISTED_BYTES = 2**25
_LINK, _SUBMODULE = b"120000", b"160000"

_CLONE = (
    "clone",
    "--quiet",
    "--depth=1",
    "--filter=blob:none",
    "--no-checkout",
    "--single-branch",
    "--no-tags",
    "--no-recurse-submodules",
    "--template=",
)
_ROOT_FILES = (
    "/README*",
    "/LICEN[CS]E*",
    "/COPYING*",
    "/package.json",
    "/pyproject.toml",
    "/Cargo.toml",
)
_INCLUDED = ("/docs_src/", "/docs-src/", "/doc_src/", "/examples/", "/snippets/")
"""Folders whose files documentation usually includes."""

_DOC_FOLDERS = ("/doc/", "/docs/", "/documentation/", "/website/")
_NEVER = re.findall(
    r"\w+",
    "7z avi avif bin bmp bz2 class dll dylib eot exe flac gif gz ico icns jar jpeg jpg mov mp3 mp4"
    " ogg otf pdf png psd pyc so svg tar tgz tif tiff ttf wasm wav webm webp woff woff2 xz zip",
)
"""Endings of files that are never written."""

_BLOBS = {
    "github": "https://{host}/{repository}/blob/{revision}/{{path}}",
    "gitlab": "https://{host}/{repository}/-/blob/{revision}/{{path}}",
    "codeberg": "https://{host}/{repository}/src/commit/{revision}/{{path}}",
    "gitea": "https://{host}/{repository}/src/commit/{revision}/{{path}}",
    "forgejo": "https://{host}/{repository}/src/commit/{revision}/{{path}}",
    "bitbucket": "https://{host}/{repository}/src/{revision}/{{path}}",
    "git.sr.ht": "https://{host}/{repository}/tree/{revision}/item/{{path}}",
}
"""Address of a file on the forges, by a word of the host's name."""


@dataclass(frozen=True, slots=True)
class _Ref:
    """A branch or tag to fetch, by its name: the commit it stands for, a line about the choice.

    `documents` is the version that it is of, None if nothing says so.
    """

    name: str
    commit: str
    note: str = ""
    documents: str | None = None


async def fetch_git(source: GitSource, fetch: SourceFetch) -> SourceTree:
    """Copy the documentation of a repository, at a tag that fits the version.

    Raises:
        DocsetSourceError: The repository, or git itself, is missing, unsafe or too large.
    """
    git = await _git(source, fetch)
    fetch.progress(f"asking {urlsplit(source.url).hostname} for {_asked(source, fetch.version)}")
    ref = await _ref(git, source, fetch)
    fetch.progress(f"fetching {ref.name}")
    root = fetch.into / "repository"
    await git.run(*_CLONE, *_branch(ref), "--", remote(source.url), str(root))
    if _COMMIT.fullmatch(ref.name):
        fetched = ("fetch", "--quiet", "--depth=1", "--filter=blob:none", "--no-tags")
        await git.run("-C", str(root), *fetched, "--", "origin", ref.name)
    links = await _listed(git, root, ref.commit, fetch.bounds)
    await _check_out(git, root, ref.commit, source)
    tree = SourceTree(
        root,
        source.line,
        ref.commit,
        address=blob_address(source.url, ref.commit),
        version=fetch.version,
        parts=tuple(part for part in source.paths if part),
        links=links,
        note=ref.note,
        documents=ref.documents,
    )
    return await to_thread.run_sync(_of_version, tree, fetch.bounds)


def _of_version(tree: SourceTree, bounds: SourceBounds) -> SourceTree:
    """Return a tree without its version if neither a tag nor a folder is of that version.

    Its newest documentation is read then, which may be of any version.
    """
    wanted = tree.version
    if wanted is None or tree.documents is not None:
        return tree
    if holds_version(tree, bounds):
        return replace(tree, documents=wanted, note=f"{tree.note}, its folder of {wanted}")
    return replace(tree, version=None, note=f"{tree.note}, filed without a version")


async def latest_commit(source: GitSource, fetch: SourceFetch) -> str:
    """Return the commit that `fetch_git` would fetch now.

    Raises:
        DocsetSourceError: As `fetch_git`.
    """
    return (await _ref(await _git(source, fetch), source, fetch)).commit


async def _git(source: GitSource, fetch: SourceFetch) -> GitProcess:
    """Return git for one source, once its host and address are checked."""
    settings = fetch.settings
    check_forge(urlsplit(source.url).hostname or "", source.line, settings)
    program = await git_program(source.line, settings.environment)
    network = await user_network(program, source.url, fetch.into, settings.environment)
    checked = await checked_address(source.url, source.line, replace(settings, environment=network))
    return GitProcess(program, source.line, fetch, network, _pinned(checked))


def _pinned(checked: CheckedAddress) -> tuple[str, ...]:
    """Return the options by which curl connects to the checked addresses and to no other."""
    if not checked.addresses:
        return ()
    addresses = ",".join(f"[{each}]" if ":" in each else each for each in checked.addresses)
    return ("-c", f"http.curloptResolve={checked.host}:{checked.port}:{addresses}")


def _asked(source: GitSource, version: str | None) -> str:
    if source.ref:
        return repr(source.ref)
    return f"a tag of {version}" if version else "its default branch"


def _branch(ref: _Ref) -> tuple[str, ...]:
    return () if _COMMIT.fullmatch(ref.name) else ("--branch", ref.name)


async def _ref(git: GitProcess, source: GitSource, fetch: SourceFetch) -> _Ref:
    """Choose what is fetched: the ref of the source, a tag of the version, the default branch."""
    wanted = source.ref
    if wanted and _COMMIT.fullmatch(wanted):
        return _Ref(wanted, wanted, documents=fetch.version)
    patterns = [f"refs/heads/{wanted}", f"refs/tags/{wanted}*"] if wanted else ["HEAD"]
    if fetch.version and not wanted:
        patterns.append("refs/tags/*")
    asked = ("ls-remote", "--symref", "--", remote(source.url), *patterns)
    refs, default = read_refs(await git.output(*asked, most=_LISTED_BYTES))
    return _named(refs, source, fetch.version) if wanted else _chosen(refs, default, source, fetch)


def _named(refs: Mapping[str, str], source: GitSource, version: str | None) -> _Ref:
    name = source.ref or ""
    for full in (f"refs/heads/{name}", f"refs/tags/{name}"):
        if full in refs:
            return _Ref(name, refs[full], documents=version)
    reason = f"it has no branch or tag {name!r}"
    raise SourceNotFound(source.line, reason, "correct it, or leave it out for the default branch")


def _chosen(refs: Mapping[str, str], default: str, source: GitSource, fetch: SourceFetch) -> _Ref:
    tags = [name.removeprefix("refs/tags/") for name in refs if name.startswith("refs/tags/")]
    name = _repository(source).rpartition("/")[2]
    tag = fitting_tag(tags, fetch.version, name) if fetch.version else None
    if tag and fetch.version:
        own = version_of_tag(tag, fetch.version)
        return _Ref(tag, refs[f"refs/tags/{tag}"], f"tag {tag}", own)
    if "HEAD" not in refs or not default:
        raise SourceNotFound(source.line, "the repository is empty", "name another one")
    missing = f"no tag fits {fetch.version!r}: " if fetch.version else ""
    return _Ref(default, refs["HEAD"], note=f"{missing}default branch {default}")


def read_refs(text: bytes) -> tuple[dict[str, str], str]:
    """Return the commits by the names of refs, and the default branch, of `ls-remote --symref`.

    An annotated tag has the commit that it stands for. Names that are not UTF-8 are left out.
    """
    refs, default = dict[str, str](), ""
    for line in text.decode("utf-8", "replace").splitlines():
        target, _, name = line.partition("\t")
        if target.startswith("ref: ") and name == "HEAD":
            default = target.removeprefix("ref: refs/heads/")
        elif _COMMIT.fullmatch(target) and "\N{REPLACEMENT CHARACTER}" not in name:
            refs[name.removesuffix("^{}")] = target
    return refs, default


async def _listed(git: GitProcess, root: Path, commit: str, bounds: SourceBounds) -> frozenset[str]:
    """Count the files of a commit, before any of them is written; return those that are links."""
    listing = _Listing(git.source, bounds.entries)
    await git.run("-C", str(root), "ls-tree", "-r", "-z", commit, take=listing.feed)
    return frozenset(listing.links)


class _Listing:
    """Reader of `ls-tree -z`, chunk by chunk, that holds links alone."""

    def __init__(self, source: str, most: int) -> None:
        self.links = set[str]()
        self._source = source
        self._most = most
        self._count = 0
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        *records, self._rest = (self._rest + chunk).split(b"\0")
        self._count += len(records)
        if self._count > self._most:
            reason = f"the repository has more than {self._most:,} files"
            raise SourceTooLarge(self._source, reason, "add a smaller one, or a copy of its folder")
        for record in records:
            if record.startswith((_LINK, _SUBMODULE)):
                self.links.add(os.fsdecode(record.partition(b"\t")[2]))


async def _check_out(git: GitProcess, root: Path, commit: str, source: GitSource) -> None:
    """Write the files that may be documentation, or be included, and no others."""
    at = ("-C", str(root))
    await git.run(*at, "sparse-checkout", "set", "--no-cone", "--", *patterns(source.paths))
    await git.run(*at, "checkout", "--quiet", "--detach", commit)
    for part in source.paths:
        if not await to_thread.run_sync(os.path.lexists, root / part):
            raise SourceNotFound(source.line, f"it has no {part!r}", "correct --path")


def patterns(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the patterns of a sparse checkout for parts of a repository; no part is all of it."""
    wanted = [f"/{_GLOB.sub(_ESCAPED, part)}" for part in parts if part]
    if not wanted:
        wanted = [*(f"*{ending}" for ending in sorted(READ | UNREAD)), *_DOC_FOLDERS]
    return (*_ROOT_FILES, *wanted, *_INCLUDED, *(f"!*.{ending}" for ending in _NEVER))


def remote(url: str) -> str:
    """Return the address that git asks: GitLab sends requests without `.git` elsewhere."""
    has_suffix = url.endswith(".git") or "gitlab" not in urlsplit(url).netloc
    return url if has_suffix else f"{url}.git"


def _repository(source: GitSource) -> str:
    return urlsplit(source.url).path.strip("/").removesuffix(".git")


def blob_address(url: str, revision: str) -> str:
    """Return the address of a file, a format string with `{path}`; empty for an unknown forge."""
    host = urlsplit(url).netloc
    form = next((form for word, form in _BLOBS.items() if word in host), "")
    repository = urlsplit(url).path.strip("/").removesuffix(".git")
    return form.format(host=host, repository=repository, revision=revision)
