"""Installed Python packages: their metadata, and pages of their docstrings.

The package is found in a project's environment and read by a process of its own, which imports
nothing of it; what stands in compiled modules alone is named as left out.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import anyio
from anyio import to_thread

from context7_fabric.docsets.sources.files import text_of
from context7_fabric.docsets.sources.packages import declared_licence, metadata_folder
from context7_fabric.docsets.sources.source import Omitted, PythonSource, SourceFetch, SourceTree
from context7_fabric.errors import (
    SourceNotFound,
    SourceRefused,
    SourceTooLarge,
    SourceUnavailable,
)
from context7_fabric.process import harmless

COMPILED = "compiled, without docstrings that can be read"
MOST_RECORD = 5_000_000
"""Bytes of the list of a package's files."""

MOST_MODULE = 5_000_000
"""Bytes of one module; a larger one takes minutes to parse, and holds no text for readers."""

_READER = "context7_fabric.docsets.docstrings"
_SHOWN = 160
_EXCEPTION = re.compile(r"^(?:\w+\.)*\w+(?:Error|Exception): ")
_INSTEAD = "add the folder of its documentation"
_NO_PACKAGES = frozenset({"tests", "test", "docs", "examples", "benchmarks"})


@dataclass(frozen=True, slots=True)
class _Installed:
    """A package as it is installed: where, its modules, and what its metadata says."""

    site: Path
    modules: tuple[str, ...]
    version: str
    licence: str
    description: str
    is_markdown: bool
    digest: str


async def fetch_python(source: PythonSource, fetch: SourceFetch) -> SourceTree:
    """Write the pages of a package into the folder of a fetch, and return their tree.

    Raises:
        SourceNotFound: It is not installed there, or has no modules in that environment.
        SourceUnavailable: The process that reads it fails.
    """
    installed = await to_thread.run_sync(_installed, source)
    fetch.progress(f"reading the docstrings of {source.name} {installed.version}")
    written = await _written(source, installed, fetch.into)
    return await to_thread.run_sync(partial(_tree, source, installed, fetch.into, written))


async def installed_revision(source: PythonSource) -> str:
    """Return the revision of a package as it is installed now. Raises as `fetch_python`."""
    return (await to_thread.run_sync(_installed, source)).digest


async def installed_version(source: PythonSource) -> str:
    """Return the version of a package as it is installed now. Raises as `fetch_python`."""
    return (await to_thread.run_sync(_installed, source)).version


def _installed(source: PythonSource) -> _Installed:
    folder = metadata_folder(source.name, source.environment)
    if folder is None:
        reason = f"{source.name} is not installed in {source.environment}"
        raise SourceNotFound(source.name, reason, "install it there, or name another --env")
    record = text_of(folder / "RECORD", MOST_RECORD) or ""
    modules = tuple(sorted(set(_modules(record))))
    if not modules:
        reason = "its installation lists no modules, as one in editable mode"
        raise SourceNotFound(source.name, reason, _INSTEAD)
    _check(source, folder.parent, modules)
    metadata = text_of(folder / "METADATA", MOST_RECORD) or ""
    headers, _, body = metadata.partition("\n\n")
    return _Installed(
        folder.parent,
        modules,
        _header(headers, "Version"),
        declared_licence(metadata),
        body,
        "markdown" in _header(headers, "Description-Content-Type"),
        hashlib.sha256(record.encode("utf-8", "replace")).hexdigest()[:40],
    )


def _check(source: PythonSource, site: Path, modules: Sequence[str]) -> None:
    """Refuse a package with links out of its environment, or with a module that is too large.

    Raises:
        SourceRefused: It has such a link.
        SourceTooLarge: It has such a module.
    """
    inside = source.environment.resolve()
    for path in (each for name in modules for each in _files(site, name)):
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            reason = f"{path.name} is a link out of the environment"
            raise SourceRefused(source.name, reason, _INSTEAD)
        if path.suffix in {".py", ".pyi"} and path.stat().st_size > MOST_MODULE:
            reason = f"{path.name} has more than {MOST_MODULE:,} bytes"
            raise SourceTooLarge(source.name, reason, _INSTEAD)


def _files(site: Path, name: str) -> Iterator[Path]:
    top = site / name
    yield from (top, *top.rglob("*")) if top.exists() else (site / f"{name}.py",)


def _modules(record: str) -> Iterator[str]:
    """Yield the names of the top-level modules in a package's list of files."""
    for row in csv.reader(record.splitlines()):
        path = PurePosixPath(row[0] if row else "")
        parts = path.parts
        is_package = len(parts) == 2 and parts[1] in {"__init__.py", "__init__.pyi"}  # noqa: PLR2004
        is_module = len(parts) == 1 and path.suffix == ".py"
        name = path.stem if is_module else parts[0] if parts else ""
        is_own = not name.startswith("_") and name not in _NO_PACKAGES and name.isidentifier()
        if (is_package or is_module) and is_own:
            yield name


def _header(headers: str, name: str) -> str:
    prefix = f"{name}: "
    found = (line for line in headers.splitlines() if line.startswith(prefix))
    return next(found, prefix).removeprefix(prefix).strip()


async def _written(source: PythonSource, installed: _Installed, into: Path) -> dict[str, list[str]]:
    """Run the process that reads the package; return what it says that it wrote."""
    command = [sys.executable, "-I", "-m", _READER, str(installed.site), str(into)]
    done = await anyio.run_process([*command, *installed.modules], check=False)
    try:
        written: dict[str, list[str]] = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it ended early"]
        reason = _EXCEPTION.sub("", harmless(lines[-1]))[:_SHOWN].rstrip(": ")
        raise SourceUnavailable(source.name, reason, _INSTEAD) from None
    return written


def _tree(
    source: PythonSource, installed: _Installed, into: Path, written: dict[str, list[str]]
) -> SourceTree:
    pages = {name: name for name in sorted(written["pages"])}
    if installed.description.strip():
        name = "README.md" if installed.is_markdown else "README.rst"
        (into / name).write_text(installed.description, "utf-8", errors="replace")
        pages = {name: name, **pages}
    return SourceTree(
        into,
        source.line,
        installed.digest,
        version=installed.version,
        documents=installed.version,
        licence=installed.licence,
        pages=pages,
        omitted=tuple(Omitted(each, COMPILED) for each in written["compiled"]),
        includes=False,
    )
