"""`add`: hold a library's own documentation on this machine."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from context7_fabric.cli.docsets import (
    change_object,
    docset_library,
    docset_settings,
    print_change,
    progress_of,
)
from context7_fabric.cli.output import can_ask, is_agreed, plain_console
from context7_fabric.cli.progress import interrupted
from context7_fabric.cli.session import CommandSession
from context7_fabric.cli.text import CommandParser, one_line, print_json
from context7_fabric.docsets.ingestion import DocsetRequest
from context7_fabric.docsets.library import DocsetChange, shared_ids
from context7_fabric.docsets.sources.discovery import Discovered, candidates, undiscovered
from context7_fabric.docsets.sources.packages import installed_packages, project_environment
from context7_fabric.docsets.sources.python_package import installed_version
from context7_fabric.docsets.sources.source import (
    GitSource,
    PythonSource,
    Source,
    parse_source,
)
from context7_fabric.docsets.sources.tags import read_tag
from context7_fabric.docsets.versions import same_version
from context7_fabric.errors import FabricError, SettingError, SourceNotFound, UnusableSource
from context7_fabric.models import Viewer
from context7_fabric.parsing.ids import LibraryId, folded_id, parse_id
from context7_fabric.parsing.keys import name_key
from context7_fabric.registry.seeds import load_seeds
from context7_fabric.settings import Settings
from context7_fabric.settings.values import OffTarget

QUESTION = "getting started"
"""Question whose answer names sources of a library's documentation."""

_SIZE = re.compile(
    r"(?P<number>\d{1,12}(?:\.\d{1,3})?) ?(?P<unit>[kmg]?)(?P<binary>i?)b?", re.ASCII
)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3}
_TAG = re.compile(r"(?P<version>\d+[._]\d[^/@]*)$")
SOURCE_LINE = re.compile(r"^Source: (https?://\S+)", re.MULTILINE)
"""Line of an answer that names where a snippet stands."""

_VERSION = re.compile(r"(?!\.)[\w.+@-]{1,100}")


def run(words: list[str]) -> int:
    """Add a docset and print what was read; exit code 1 if that was declined."""
    options = _parsed(words)
    settings = docset_settings()
    try:
        if options.source and _names_library(options):
            change = _discovered(settings, options)
        else:
            request = _of_package(options) if options.python else _request(options)
            change = _added(settings, request)
    except KeyboardInterrupt:
        return interrupted("the docsets are as they were")
    if change is None:
        return 1
    shared = list(shared_ids(change.docset, docset_library(settings).all(Viewer())))
    if options.json:
        print_json({**change_object(change), "shared_ids": shared})
    else:
        print_change(change, *shared)
    return 0


def _parsed(words: list[str]) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(words)
    if bool(options.source) == bool(options.python):
        parser.error("name a source, or a package by --python")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "context7-fabric add",
        description="Hold a library's documentation here, so that new questions are answered from"
        " it. Adding it again replaces it.",
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        nargs="?",
        help="a folder or file, git+https://HOST/ORG/REPOSITORY[@REF], the address of an llms.txt"
        " or llms-full.txt; or an id or a name alone, whose documentation is looked for",
    )
    parser.add_argument(
        "--python", metavar="NAME", help="the docstrings of a package that the project here uses"
    )
    parser.add_argument(
        "--env", type=Path, metavar="FOLDER", help="its environment (VIRTUAL_ENV, else .venv)"
    )
    parser.add_argument("--id", metavar="/ORG/PROJECT", help="the library that it documents")
    parser.add_argument("--version", metavar="V", help="the version that it documents")
    parser.add_argument(
        "--also", action="append", default=[], metavar="ID", help="another id of the library"
    )
    parser.add_argument(
        "--path", action="append", default=[], metavar="P", help="only this folder of a repository"
    )
    parser.add_argument(
        "--max-size", type=_size, metavar="SIZE", help="bound of its text, such as 200MB (50MB)"
    )
    parser.add_argument("--yes", action="store_true", help="take the source that is found")
    parser.add_argument("--json", action="store_true", help="the result as a JSON object")
    return parser


def _size(text: str) -> int:
    """Return the bytes of a size such as `200MB`."""
    form = _SIZE.fullmatch(text.strip().lower())
    size = 0.0
    if form is not None:
        size = float(form["number"]) * (1024 if form["binary"] else 1000) ** _POWERS[form["unit"]]
    if size < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 200MB")
    return int(size)


def _added(settings: Settings, request: DocsetRequest) -> DocsetChange:
    with progress_of(request.id) as report:
        return docset_library(settings).add(request, report)


def _request(options: argparse.Namespace) -> DocsetRequest:
    source = parse_source(options.source, Path.cwd(), tuple(options.path))
    return _filed(source, options.id or _own_id(source, options.source), options)


def _of_package(options: argparse.Namespace) -> DocsetRequest:
    """Return the request for an installed package, filed under the id that its name means.

    Raises:
        FabricError: There is no environment, no such package, or no library of that name.
    """
    given = options.env.absolute() if options.env else None
    environment = project_environment(os.environ, Path.cwd(), given)
    if environment is None or (given is not None and environment != given):
        reason = f"there is no environment at {given or Path.cwd() / '.venv'}"
        raise UnusableSource(options.python, reason, "name one with --env FOLDER")
    source = PythonSource(options.python, environment.absolute())
    parse_source(source.line, Path("/"))
    options.version = options.version or anyio.run(installed_version, source) or None
    options.source = options.python
    if options.id:
        return _filed(source, options.id, options)
    with CommandSession() as session:
        return _filed(source, _identified(session, options.python).base, options)


def _filed(source: Source, docset_id: str, options: argparse.Namespace) -> DocsetRequest:
    """Return the request for a source under an id and the other options.

    Raises:
        SettingError: An option cannot be used.
    """
    library, version = _id("--id", docset_id), _version(options.version)
    of_id = _bare(library.version)
    if of_id and version and version != of_id:
        raise SettingError("--version", version, f"the version of the id, {of_id!r}")
    tagged = _version_of(source)
    if version and tagged and not same_version(version, tagged):
        raise SettingError("--version", version, f"the version of the tag, {tagged!r}")
    also = {folded_id(base): base for each in options.also if (base := _id("--also", each).base)}
    also.pop(folded_id(library.base), None)
    return DocsetRequest(
        source,
        library.base,
        version or of_id or tagged,
        tuple(also.values()),
        options.max_size,
        is_claimed=True,
    )


def _own_id(source: Source, text: str) -> str:
    """Return the id that a repository's address names, which is Context7's for it."""
    if isinstance(source, GitSource):
        parts = source.url.removesuffix(".git").split("/")
        return "/" + "/".join(parts[-2:])
    line = f"context7-fabric add {shlex.quote(text)} --id /org/project"
    raise UnusableSource(text, "the library that it documents is not named", f"type: {line}")


def _version_of(source: Source) -> str | None:
    """Return the version whose tag a source names; a branch such as `5.x` or `v5` is none."""
    ref = source.ref if isinstance(source, GitSource) else None
    found = _TAG.search(ref or "")
    return found["version"] if found and read_tag(ref or "") else None


def _id(option: str, text: str) -> LibraryId:
    """Return an id, which may have a version.

    Raises:
        SettingError: It is no id of a library.
    """
    found = parse_id(text)
    if found is None or {".", ".."} & set(text.split("/")):
        raise SettingError(option, text[:200], "a library id (/org/project)")
    return found


def _version(text: str | None) -> str | None:
    """Return a version as it was given, without a leading `v`.

    Raises:
        SettingError: It cannot be one.
    """
    given = text.strip() if text is not None else None
    if given is None:
        return None
    if given.lower() == "latest" or not _VERSION.fullmatch(given):
        raise SettingError("--version", given[:200], "a version such as 1.2.3")
    return _bare(given)


def _bare(version: str | None) -> str | None:
    """Return a version without the `v` of tags: `v1.2` and `1.2` are one docset."""
    return version and re.sub(r"^[vV](?=\d)", "", version)


def _names_library(options: argparse.Namespace) -> bool:
    """Tell whether the source is an id or a name alone, whose documentation is looked for."""
    text = options.source
    if options.id or not text or "://" in text or text.startswith((".", "~", "-")):
        return False
    is_path = "\\" in text or ("/" in text and not text.startswith(("/", "@")))
    is_id = not text.startswith("/") or parse_id(text) is not None
    return is_id and not is_path and not Path(text).exists()


def _discovered(settings: Settings, options: argparse.Namespace) -> DocsetChange | None:
    """Look for a library's documentation and add it; None if that was declined.

    Raises:
        FabricError: There is no such library, or no documentation of it that can be read.
    """
    if isinstance(settings.upstream.target, OffTarget):
        reason = "nothing is looked for while CONTEXT7_FABRIC_UPSTREAM=off"
        raise UnusableSource(options.source, reason, "name a source, and the library by --id")
    with CommandSession() as session:
        library = _identified(session, options.source)
        sources = _sources(session, library.base)
    failure = undiscovered(library.base)
    for each in _candidates(settings, options, library, sources):
        filed = _filed(_within(each.source, options.path), str(library), options)
        request = replace(filed, is_claimed=False)
        if not _is_agreed(each, request, options):
            return None
        try:
            return _added(settings, request)
        except SourceNotFound as error:
            failure = error
    raise failure


def _identified(session: CommandSession, text: str) -> LibraryId:
    """Return the library that an id or a name means exactly.

    Raises:
        FabricError: It means none, or several.
    """
    if text.startswith("/"):
        return _id("SOURCE", text)
    found = session.ask("resolve", name=text, question="")
    if found["exact"]:
        return _id("SOURCE", found["library_id"])
    raise _no_library(text, found)


def _no_library(text: str, found: Mapping[str, Any]) -> FabricError:
    """Return the error for a name and the result of its look-up, which is not exact."""
    listed = ", ".join(found.get("candidates", ()))
    note = str(found.get("note", "it means no library")).rstrip(".")
    reason = f"it may mean {listed}" if listed else note
    return FabricError(one_line(f"{text!r} is no name of one library: {reason}: give its id"))


def _sources(session: CommandSession, library: str) -> Sequence[str]:
    """Return the addresses of the snippets of an answer; none if there is no answer."""
    answer = session.ask("docs", library=library, question=QUESTION)
    return [] if answer["is_error"] else SOURCE_LINE.findall(answer["text"])


def _candidates(
    settings: Settings, options: argparse.Namespace, library: LibraryId, sources: Sequence[str]
) -> Sequence[Discovered]:
    wanted = {library.base.lower(), name_key(options.source)}
    rows = load_seeds(settings.seed_file).rows
    known = {row.id for row in rows if wanted & {row.id.lower(), name_key(row.name)}}
    return candidates(
        library.base,
        sources,
        version=options.version or library.version,
        known_ids=known,
        project_urls=_project_urls(options.source),
        hosts=settings.docsets.hosts,
    )


def _project_urls(text: str) -> Sequence[str]:
    """Return the addresses in the metadata of a package that the project here has installed."""
    name, here = text.rpartition("/")[2] if text.startswith("/") else text, Path.cwd()
    environment = project_environment(os.environ, here)
    return [url for each in installed_packages(name, here, environment) for url in each.urls]


def _within(source: Source, paths: Sequence[str]) -> Source:
    """Return a source whose folders are those of the option `--path`, if there are any."""
    if not paths or not isinstance(source, GitSource):
        return source
    return parse_source(replace(source, paths=()).line, Path("/"), tuple(paths))


def _is_agreed(each: Discovered, request: DocsetRequest, options: argparse.Namespace) -> bool:
    """Tell whether the user takes a source that was found in text from outside.

    Raises:
        UnusableSource: It has to be confirmed, and there is no terminal.
    """
    if each.certain or options.yes:
        return True
    if options.json or not can_ask():
        line = f"context7-fabric add {request.source.line} --id {shlex.quote(request.id)}"
        line += f" --version {shlex.quote(request.version)}" if request.version else ""
        reason = f"its documentation may lie at {request.source.line} ({each.reason})"
        raise UnusableSource(options.source, reason, f"to take that, type: {line}")
    console = plain_console(stderr=True)
    console.print(one_line(f"{request.source.line} ({each.reason})"), soft_wrap=True)
    question = f"Add this as the documentation of {one_line(request.id)}? [y/N] "
    return is_agreed(question, "Nothing was added.")
