"""Metadata of packages that a project has installed: their versions and the addresses they name.

Only files are read; nothing is imported and no program runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.parser import HeaderParser
from itertools import islice
from pathlib import Path

from context7_fabric.docsets.sources.files import text_of

MOST_ENTRIES = 20_000
"""Entries of a folder of packages that are looked at."""

_LABELS = re.compile(
    r"home-?\s?page|source(?:\s?code)?|repository|repo|code|github|documentation|docs",
    re.IGNORECASE,
)
"""Labels of addresses that are the package's own, unlike those of sponsors or chats."""


@dataclass(frozen=True, slots=True)
class InstalledPackage:
    """Version of an installed package, and the addresses of its code and documentation."""

    version: str
    urls: tuple[str, ...]


def project_environment(
    environ: Mapping[str, str], directory: Path, given: Path | None = None
) -> Path | None:
    """Return the Python environment of a project: `given`, else VIRTUAL_ENV, else its `.venv`.

    None if there is none; it is never that of this process. This blocks on the disk.
    """
    named = environ.get("VIRTUAL_ENV", "")
    for folder in (given, Path(named) if named else None, directory / ".venv"):
        if folder is not None and (folder / "pyvenv.cfg").is_file():
            return folder
    return None


def installed_packages(
    name: str, directory: Path, environment: Path | None
) -> tuple[InstalledPackage, ...]:
    """Return what a project has installed under a name, from PyPI and from npm.

    `directory` is that of the project. This blocks on the disk; what cannot be read is left out.
    """
    found = [_of_npm(name, directory), _of_python(name, environment) if environment else None]
    return tuple(each for each in found if each is not None)


def _of_python(name: str, environment: Path) -> InstalledPackage | None:
    for folder in _site_packages(environment):
        with suppress(OSError):
            for entry in islice(folder.iterdir(), MOST_ENTRIES):
                if _is_metadata_of(name, entry.name):
                    return _read_metadata(text_of(entry / "METADATA") or "")
    return None


def _site_packages(environment: Path) -> Iterator[Path]:
    yield from sorted(environment.glob("lib/python3*/site-packages"))
    yield environment / "Lib" / "site-packages"


def _is_metadata_of(name: str, folder: str) -> bool:
    base, is_metadata, _ = folder.partition(".dist-info")
    return bool(is_metadata) and _normal(base.rpartition("-")[0]) == _normal(name)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _read_metadata(text: str) -> InstalledPackage:
    message = HeaderParser().parsestr(text)
    labelled = [line.partition(",")[::2] for line in message.get_all("Project-URL", [])]
    labelled.append(("homepage", message.get("Home-page", "")))
    urls = [url.strip() for label, url in labelled if _LABELS.fullmatch(label.strip())]
    return InstalledPackage(message.get("Version", ""), tuple(filter(None, urls)))


def _of_npm(name: str, directory: Path) -> InstalledPackage | None:
    parts = name.split("/")
    if ".." in parts or "" in parts or name.startswith("."):
        return None
    text = text_of(directory.joinpath("node_modules", *parts, "package.json"))
    try:
        package = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    if not isinstance(package, dict):
        return None
    repository = package.get("repository")
    url = repository.get("url") if isinstance(repository, dict) else repository
    urls = [each for each in (url, package.get("homepage")) if isinstance(each, str)]
    version = package.get("version")
    return InstalledPackage(version if isinstance(version, str) else "", tuple(urls))
