"""Choice of the files of a source that are its documentation; pure, by names alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

RENDERED = frozenset({".htm", ".html"})
"""Endings of pages that a site generator has made, if not written by hand."""

READ = RENDERED | {
    *(".md", ".mdx", ".markdown", ".mdown", ".mkd", ".qmd", ".rmd", ".rst", ".rest", ".txt"),
    *(".adoc", ".asciidoc", ".asc", ".ipynb"),
}
"""Endings of documents; plain text is read as it stands."""

UNREAD = frozenset({".org", ".pdf", ".textile"})
"""Endings of documentation in a form that is not read, and is counted under it."""

TRANSLATION = "translation"
OLDER = "older version of the documentation"
HIDDEN = "hidden"
GENERATED = "generated or installed files"
OTHER = "not documentation"
_FORM = "format "
NOT_PROSE = "plain text that is not documentation"
BESIDE_SOURCES = "rendered pages beside documents in another form"

_ALWAYS_GENERATED = frozenset(
    {"node_modules", "bower_components", "__pycache__", "site-packages", "_build", "venv"}
)
_PERHAPS_GENERATED = frozenset({"build", "dist", "out", "target", "vendor", "_site", "coverage"})
_BUILT_FROM = frozenset(
    {
        "package.json",
        "pyproject.toml",
        "setup.py",
        "cargo.toml",
        "go.mod",
        "conf.py",
        "makefile",
        "pom.xml",
        "build.gradle",
        "composer.json",
        "mkdocs.yml",
        "cmakelists.txt",
    }
)
"""Files beside which a folder called `build` holds results; elsewhere it may be about building."""

_SPHINX_INDEXES = frozenset({"objects.inv", "searchindex.js"})
_OF_SPHINX = frozenset({"_modules", "_sources", "_static", "_images", "_downloads"})
_NOT_A_PAGE = re.compile(r"(?:404|search|(?:py-)?(?:mod|gen)index(?:-.*)?)\.html?", re.IGNORECASE)

_NOT_PROSE = re.compile(
    r"(requirements|constraints|licen[cs]e|copying|notice|patents|cmakelists|robots|humans"
    r"|security|ads|version|top_level|entry_points|sources|manifest|wordlist|spelling)"
    r"([-_.].*)?\.txt",
    re.IGNORECASE,
)

_CODES = (
    "ar az be bg bn bs ca cs da de el em es et eu fa fi fil fr gl he hi hr hu hy id it ja jp ka kk"
    " ko kr lt lv mk mn ms nb nl no pl pt ro ru sk sl sq sr sv ta te th tr uk ua ur uz vi yo zh cn"
    " tw"
)
_LANGUAGE = re.compile(
    rf"({_CODES.replace(' ', '|')})([-_](hans|hant|[a-z]{{2}}|\d{{3}}))?", re.IGNORECASE
)
_ENGLISH = re.compile(r"en([-_][a-z]{2})?", re.IGNORECASE)
_FOLDERS_OF_LANGUAGES = frozenset(
    {"i18n", "l10n", "lang", "langs", "languages", "locale", "locales", "translation"}
    | {"translations"}
)
_SUFFIX = re.compile(
    r"(?P<stem>.+?)(?P<mark>[._-])(?P<code>[A-Za-z]{2,3}(?P<region>[-_][A-Za-z]{2,4})?)"
)

_VERSION = re.compile(
    r"(?P<mark>version[-_ ]?|v)?(?P<v>\d+(?:[._-]\d+)*)(?P<open>[._-]?x)?", re.IGNORECASE
)
_VERSIONED = re.compile(r"(?P<base>docs?|documentation|website)[-_.](?P<version>v?\d.*)")
_VERSIONED_DOCS = "versioned_docs"
_NEWEST = frozenset({"current", "latest", "stable"})
_NO_VERSIONS = re.compile(r"api|blog|change|histor|migrat|news|release|upgrad|what", re.IGNORECASE)
"""Folders whose versions are news about the library, which are kept, or versions of an API."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One folder of a source: its path within it, the names of its folders and of its files."""

    path: str
    folders: Sequence[str]
    files: Sequence[str]


def reasons(listing: Listing, version: str | None) -> Mapping[str, str]:
    """Return the names in a folder that are left out, each with the reason.

    Of several versions side by side the newest stays, or the one that fits `version`. A
    translation is recognised by its siblings: one folder called `de` may be anything.
    """
    found = dict(_by_name(listing))
    for name, reason in (*_translations(listing), *_older(listing, version)):
        found.setdefault(name, reason)
    return found


def has_version(listing: Listing, version: str) -> bool:
    """Tell whether a folder in a listing holds the documentation of this very version."""
    wanted = _numbers(version)
    beside = (found["version"] for name in listing.folders if (found := _VERSIONED.fullmatch(name)))
    held = [numbers for _name, numbers in _versions(listing)] + [_numbers(each) for each in beside]
    return bool(wanted) and wanted in held


def _by_name(listing: Listing) -> Iterator[tuple[str, str]]:
    builds = any(name.lower() in _BUILT_FROM for name in listing.files)
    is_sphinx = not _SPHINX_INDEXES.isdisjoint(listing.files)
    generated = _ALWAYS_GENERATED.union(
        _PERHAPS_GENERATED if builds else (), _OF_SPHINX if is_sphinx else ()
    )
    for name in listing.folders:
        if name.startswith("."):
            yield name, HIDDEN
        elif name in generated:
            yield name, GENERATED
    for name in listing.files:
        reason = HIDDEN if name.startswith(".") else _unread(name)
        if reason:
            yield name, reason


def _unread(name: str) -> str | None:
    ending = _ending(name)
    if _NOT_PROSE.fullmatch(name):
        return NOT_PROSE
    if _NOT_A_PAGE.fullmatch(name):
        return GENERATED
    if ending in READ or name == "README":
        return None
    return unread_form(ending) if ending in UNREAD else OTHER


def unread_form(form: str) -> str:
    """Return the reason why a file in a form such as `.pdf` is left out."""
    return f"{_FORM}{form} is not read"


def is_unread_form(reason: str) -> bool:
    """Tell whether a reason is one of `unread_form`."""
    return reason.startswith(_FORM)


def refused_form(name: str) -> str | None:
    """Return the reason why a file that is given by itself is not read, None if it is.

    Any name without an ending is that of a text, as is one that a folder would leave out.
    """
    ending = _ending(name)
    return None if not ending or ending in READ else unread_form(ending)


def rendered_beside(paths: Sequence[str]) -> Collection[str]:
    """Return the rendered pages among the documents of a source if most are in another form.

    Where most are pages, the source is a folder of rendered documentation; elsewhere they are
    templates, examples, or results of what is read already.
    """
    pages = {path for path in paths if _ending(path) in RENDERED}
    return pages if 2 * len(pages) <= len(paths) else ()


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _translations(listing: Listing) -> Iterator[tuple[str, str]]:
    codes = [name for name in listing.folders if _LANGUAGE.fullmatch(name)]
    if _is_translated(listing, codes):
        yield from ((name, TRANSLATION) for name in codes)
    names = {name.lower() for name in listing.files}
    for name in listing.files:
        if _has_original(name, names):
            yield name, TRANSLATION


def _is_translated(listing: Listing, codes: Sequence[str]) -> bool:
    has_english = any(_ENGLISH.fullmatch(name) for name in listing.folders)
    if has_english or PurePosixPath(listing.path).name.lower() in _FOLDERS_OF_LANGUAGES:
        return True
    is_original_beside = len(listing.folders) > len(codes) or any(
        _ending(name) in READ for name in listing.files
    )
    return is_original_beside and len(codes) > 1


def _has_original(name: str, names: set[str]) -> bool:
    """Tell whether `name` is `page.fr.md` or `README_zh-CN.md` beside the page in English."""
    stem, ending = name.removesuffix(_suffix(name)), _suffix(name)
    found = _SUFFIX.fullmatch(stem)
    if not found or ending.lower() not in READ or not _LANGUAGE.fullmatch(found["code"]):
        return False
    if found["mark"] != "." and not (found["stem"].isupper() or found["region"]):
        return False
    original = found["stem"].lower()
    return any(f"{original}{each}{ending.lower()}" in names for each in ("", ".en", "_en", "-en"))


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix


def _older(listing: Listing, version: str | None) -> Iterator[tuple[str, str]]:
    if _NO_VERSIONS.search(PurePosixPath(listing.path).name):
        versions = {name: read for name, read in _versions(listing) if _is_open(name)}
    else:
        versions = dict(_versions(listing))
    kept = _kept(versions, version, any(name in _NEWEST for name in listing.folders))
    yield from ((name, OLDER) for name in versions if kept != name)
    for name in listing.folders:
        if _is_older_beside(name, listing.folders, version):
            yield name, OLDER


def _versions(listing: Listing) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the folders that are called by a version; a bare number may be a chapter."""
    for name in listing.folders:
        found = _VERSION.fullmatch(name)
        if found and (found["mark"] or found["open"] or "." in name):
            yield name, _numbers(found["v"])


def _is_open(name: str) -> bool:
    found = _VERSION.fullmatch(name)
    return bool(found and found["open"])


def _kept(
    versions: Mapping[str, tuple[int, ...]], version: str | None, is_newest_beside: object
) -> str | None:
    """Return the folder that stays: the one asked for, else the newest."""
    wanted = _numbers(version or "")
    fitting = [name for name, numbers in versions.items() if wanted[: len(numbers)] == numbers]
    if wanted and fitting:
        return max(fitting, key=lambda name: len(versions[name]))
    if is_newest_beside:
        return None
    return max(versions, key=lambda name: versions[name], default=None)


def _is_older_beside(name: str, folders: Iterable[str], version: str | None) -> bool:
    """Tell whether `name` is `docs-v3` or `versioned_docs` beside `docs`, and not asked for."""
    if name == _VERSIONED_DOCS:
        return "docs" in folders and version is None
    found = _VERSIONED.fullmatch(name)
    if found is None or found["base"] not in folders:
        return False
    numbers = _numbers(found["version"])
    return _numbers(version or "")[: len(numbers)] != numbers


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d{1,9}", text))
