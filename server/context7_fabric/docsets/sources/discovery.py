"""Discovery of a library's documentation: from the sources of answers, and an installed package.

All of it is text from outside, so what is found is shown and confirmed. It is certain only where
the repository has the owner and the name that the id has, or a seed or the metadata of an
installed package name it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from context7_fabric.docsets.sources.addresses import FORGES
from context7_fabric.docsets.sources.llms import absolute, is_llms
from context7_fabric.docsets.sources.selection import READ, UNREAD
from context7_fabric.docsets.sources.source import LLMS_FILES, GitSource, LlmsSource, Source
from context7_fabric.errors import SourceNotFound

MOST_FOLDERS = 4
"""Folders of a repository that one source names."""

_FEW = 0.1
"""Share of the documents below which a folder is a stray one; so is one of a single document."""

_GITHUB = "github.com"
_RAW = "raw.githubusercontent.com"
_FILE = re.compile(
    r"/(?P<owner>[^/]+)/(?P<name>[^/]+?)(?:\.git)?"
    r"(?:/(?:-/)?(?:blob|tree|raw|edit|src)(?:/(?:branch|tag|commit))?/(?P<ref>[^/]+)(?:/item)?"
    r"(?:/(?P<path>.+))?)?/?"
)
_RAW_FILE = re.compile(
    r"/(?P<owner>[^/]+)/(?P<name>[^/]+)/(?:refs/(?:heads|tags)/)?(?P<ref>[^/]+)/(?P<path>.+)"
)
_NAME = re.compile(r"~?\w[\w.-]*", re.ASCII)
_REF = re.compile(r"\w[\w.-]*", re.ASCII)
_NOT_REPOSITORIES = frozenset({"sponsors", "orgs", "topics", "marketplace", "about", "users"})
_USUAL_REFS = re.compile(r"main|master|HEAD|[0-9a-f]{40}")
"""Refs that name the default branch, or a moment of it: no reason to stay at them."""

_COLLECTIONS = frozenset({"llmstxt", "local", "packages", "pypi", "npm", "websites", "openapi"})
"""Owners in ids that are no owners of repositories."""

_CONTAINERS = frozenset(
    {"book", "content", "contents", "doc", "docs", "documentation", "en", "guide", "guides"}
    | {"manual", "pages", "site", "source", "src", "website", "www"}
)
"""Names of folders below which all documentation of a library stands."""

_SHARED_HOSTS = re.compile(r"(?:.+\.)?(?:github\.io|gitlab\.io|pages\.dev|readthedocs\.io)")
"""Hosts on which the first part of the path, not the host alone, is a project."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """A source where documentation may lie, by the line that names it, and the reason to think so.

    What is not `certain` has to be confirmed.
    """

    source: Source
    reason: str
    certain: bool

    @property
    def line(self) -> str:
        """The text that `add` takes."""
        return self.source.line


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository on a forge."""

    host: str
    owner: str
    name: str

    @property
    def id(self) -> str:
        """The id that Context7 gives a repository, in lower case."""
        return f"/{self.owner}/{self.name}".lower()

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://{self.host}/{self.owner}/{self.name}"


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file or folder of a repository, at a branch, tag or commit; empty for the repository."""

    repository: Repository
    ref: str = ""
    path: str = ""


def candidates(
    library: str,
    sources: Sequence[str],
    *,
    version: str | None = None,
    known_ids: Collection[str] = (),
    project_urls: Sequence[str] = (),
    hosts: Collection[str] = (),
) -> tuple[Discovered, ...]:
    """Return where the documentation of a library may lie, the likeliest first.

    `library` is an id without a version. `sources` are the addresses of snippets of its answers,
    `known_ids` the ids that seeds have for it, `project_urls` the addresses in the metadata of its
    installed package, `hosts` further forges. With a `version` no branch is named, so that its
    tag is looked for. Where one cannot be read (`SourceNotFound`) the next may be tried. The
    caller asks nothing of this where upstream is off.
    """
    files = [found for url in sources if (found := repository_file(url, hosts))]
    named = {own for url in project_urls if (own := _repository(url, hosts))}
    all_of_them = [
        *_repositories(library, files, version, {each.lower() for each in known_ids}, named),
        *_of_metadata(library, named),
        *_sites(sources, project_urls, hosts),
        *_guessed(library, files, known_ids),
    ]
    first = dict[str, Discovered]()
    for each in all_of_them:
        first.setdefault(each.line.partition(" ")[0].partition("@")[0].lower(), each)
    return tuple(first.values())


def _repository(url: str, hosts: Collection[str]) -> Repository | None:
    """Return the repository that an address is of, such as that of its issues."""
    base = "/".join(url.removeprefix("git+").split("#")[0].split("/")[:5])
    found = repository_file(base, hosts)
    return found.repository if found else None


def undiscovered(library: str) -> SourceNotFound:
    """Return the error for a library whose documentation is nowhere to be seen."""
    line = f"context7-fabric add git+https://github.com/ORG/REPOSITORY --path docs --id {library}"
    return SourceNotFound(library, "nothing names the place of its documentation", f"type: {line}")


def repository_file(url: str, hosts: Collection[str] = ()) -> RepositoryFile | None:
    """Return the file of a repository on a known forge that an address names; None for others."""
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return None
    is_raw = host == _RAW
    found = (_RAW_FILE if is_raw else _FILE).fullmatch(unquote(parts.path))
    if found is None or not (is_raw or host in FORGES or host in hosts):
        return None
    owner, name = found["owner"], found["name"]
    if not (_NAME.fullmatch(owner) and _NAME.fullmatch(name)) or owner in _NOT_REPOSITORIES:
        return None
    ref, path = found["ref"] or "", found["path"] or ""
    is_inner = path.isprintable() and not path.startswith("-") and ".." not in path.split("/")
    repository = Repository(_GITHUB if is_raw else host, owner, name)
    return RepositoryFile(repository, ref if _REF.fullmatch(ref) else "", path if is_inner else "")


def _repositories(
    library: str,
    files: Sequence[RepositoryFile],
    version: str | None,
    known_ids: Collection[str],
    named: Collection[Repository],
) -> Iterator[Discovered]:
    """Yield the repository of the majority of sources, at their branch, with their folders."""
    counts = Counter(file.repository for file in files)
    for repository, count in counts.most_common(1):
        if count * 2 <= len(files):
            return
        own = [file for file in files if file.repository == repository]
        is_own = repository.host == _GITHUB and repository.id in {library.lower(), *known_ids}
        yield Discovered(
            GitSource(repository.url, None if version else _ref(own), _folders(own)),
            f"{count} of {len(files)} sources of its answers stand there",
            certain=is_own or repository in named,
        )


def _ref(files: Sequence[RepositoryFile]) -> str | None:
    """Return the branch of most files, None if it is the usual one."""
    refs = Counter(file.ref for file in files if file.ref)
    usual = refs.most_common(1)[0][0] if refs else ""
    return None if not usual or _USUAL_REFS.fullmatch(usual) else usual


def _folders(files: Sequence[RepositoryFile]) -> tuple[str, ...]:
    """Return the folders that hold the documents among files; none if they are all over."""
    paths = {PurePosixPath(file.path) for file in files if file.path}
    texts = {path for path in paths if path.suffix.lower() in READ | UNREAD}
    inside = [path for path in texts if len(path.parts) > 1]
    if not inside:
        return ()
    by_top = Counter(path.parts[0] for path in inside).most_common(MOST_FOLDERS)
    tops = [top for top, count in by_top if count >= max(_FEW * len(texts), 2)] or [by_top[0][0]]
    folders = {_root([path for path in inside if path.parts[0] == top]) for top in tops}
    readme = [str(path) for path in sorted(texts) if len(path.parts) == 1]
    return (*sorted(folders), *readme[:1])


def _root(paths: Sequence[PurePosixPath]) -> str:
    """Return the folder of all documents, by those that are known.

    The answers of a few questions come from one corner, so their common folder is widened to the
    innermost one whose name says that documentation begins there.
    """
    common = list(paths[0].parent.parts)
    for path in paths[1:]:
        same = [a == b for a, b in zip(common, path.parent.parts, strict=False)]
        common = common[: [*same, False].index(False)]
    named = [at for at, part in enumerate(common) if part.lower() in _CONTAINERS]
    return "/".join(common[: named[-1] + 1] if named else common)


def _of_metadata(library: str, named: Collection[Repository]) -> Iterator[Discovered]:
    """Yield the repositories that a package names; it may name others than its own."""
    project = library.rpartition("/")[2].lower()
    for repository in sorted(named, key=lambda each: each.url):
        reason = "the installed package names this repository"
        is_own = repository.name.lower() == project
        yield Discovered(GitSource(repository.url), reason, certain=is_own)


def _sites(
    sources: Sequence[str], project_urls: Sequence[str], hosts: Collection[str]
) -> Iterator[Discovered]:
    """Yield the files for models of the site that most sources stand on."""
    pages = [url for url in sources if repository_file(url, hosts) is None]
    counts = Counter(filter(None, map(_site, pages)))
    named = {_site(url) for url in project_urls}
    for site, count in counts.most_common(1):
        if count * 2 <= len(sources):
            return
        reason = f"{count} of {len(sources)} sources of its answers stand on this site"
        listed = [url for url in dict.fromkeys(pages) if is_llms(url) and _site(url) == site]
        for url in (*listed, *(f"{site}/{name}" for name in LLMS_FILES)):
            yield Discovered(LlmsSource(url), reason, certain=site in named)


def _site(url: str) -> str:
    """Return the address that a site's files for models stand below, empty for an odd one."""
    parts = urlsplit(absolute("https://localhost", url) or "https:")
    first = parts.path.split("/")[1] if _SHARED_HOSTS.fullmatch(parts.hostname or "") else ""
    base = f"https://{parts.netloc}" if parts.scheme == "https" and parts.netloc else ""
    return f"{base}/{first}".rstrip("/") if base else ""


def _guessed(
    library: str, files: Sequence[RepositoryFile], known_ids: Collection[str]
) -> Iterator[Discovered]:
    """Yield the repository that has the id, if nothing says where the documentation lies."""
    owner, _, name = library.strip("/").partition("/")
    if files or not _NAME.fullmatch(owner) or not _NAME.fullmatch(name) or owner in _COLLECTIONS:
        return
    source = GitSource(Repository(_GITHUB, owner, name).url)
    yield Discovered(source, "the id is that of a repository", certain=library in known_ids)
