"""Metadata of packages: the licence of a source, and what a project has installed.

Only files are read; nothing is imported and no program runs. Licences are SPDX ids.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.parser import HeaderParser
from itertools import islice
from pathlib import Path

from context7_fabric.docsets.models import UNKNOWN_LICENCE
from context7_fabric.docsets.sources.files import text_of

_EXPRESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+){0,8}")
_FILES = re.compile(r"(?:UN)?LICEN[CS]E|COPYING", re.IGNORECASE)
_PROSE = re.compile(r"proprietary|unlicensed|see |licen[cs]e", re.IGNORECASE)

_TEXTS = (
    ("AGPL-3.0-only", "gnu affero general public license version 3"),
    ("LGPL-3.0-only", "gnu lesser general public license version 3"),
    ("LGPL-2.1-only", "gnu lesser general public license version 2.1"),
    ("GPL-3.0-only", "gnu general public license version 3"),
    ("GPL-2.0-only", "gnu general public license version 2"),
    ("MPL-2.0", "mozilla public license version 2.0"),
    ("Apache-2.0", "apache license version 2.0"),
    ("CC0-1.0", "cc0 1.0 universal"),
    ("CC-BY-NC-SA-4.0", "attribution-noncommercial-sharealike 4.0 international"),
    ("CC-BY-NC-4.0", "attribution-noncommercial 4.0 international"),
    ("CC-BY-SA-4.0", "attribution-sharealike 4.0 international"),
    ("CC-BY-4.0", "attribution 4.0 international"),
    ("Unlicense", "this is free and unencumbered software released into the public domain"),
    ("PSF-2.0", "python software foundation license version 2"),
    ("BSL-1.0", "boost software license - version 1.0"),
    ("ISC", "permission to use, copy, modify, and/or distribute this software for any purpose"),
    ("ISC", "permission to use, copy, modify, and distribute this software for any purpose"),
    ("MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"),
    ("BSD-3-Clause", "nor the names of its contributors"),
    ("BSD-3-Clause", "neither the name of"),
    ("BSD-2-Clause", "redistribution and use in source and binary forms"),
)
"""Words of each licence that stand in no licence above it, in lower case, with single blanks."""

_BEGINNING = 6000
"""Characters that are compared: a long licence names others further down."""

MOST_ENTRIES = 20_000
"""Entries of a folder of packages that are looked at."""

_LABELS = re.compile(
    r"home-?\s?page|source(?:\s?code)?|repository|repo|code|github|documentation|docs",
    re.IGNORECASE,
)
"""Labels of addresses that are the package's own, unlike those of sponsors or chats."""


def licence_of(root: Path) -> str:
    """Return the licence of the source in a folder, "unknown" if it cannot be seen.

    What the package says of itself precedes. Only files of the folder itself are read.
    """
    for name, read in (("package.json", _npm), ("pyproject.toml", _python), ("Cargo.toml", _rust)):
        text = text_of(root / name)
        if text:
            with suppress(ValueError, RecursionError):  # neither parser accepts all
                declared = read(text)
                if isinstance(declared, str) and _is_expression(declared):
                    return declared
    names = sorted(path.name for path in root.iterdir() if _FILES.match(path.name))
    found = (licence_of_text(text_of(root / name) or "") for name in names)
    return next((each for each in found if each), UNKNOWN_LICENCE)


def licence_of_text(text: str) -> str | None:
    """Return the SPDX id of a licence by its text."""
    words = re.sub(r"[\s,;:()*#\"]+", " ", text[:_BEGINNING].lower())
    return next((name for name, part in _TEXTS if re.sub(r"[,;:]", "", part) in words), None)


def _is_expression(text: str) -> bool:
    return _EXPRESSION.fullmatch(text) is not None and _PROSE.search(text) is None


def _npm(text: str) -> object:
    return _inner(json.loads(text), "license")


def _python(text: str) -> object:
    return _inner(tomllib.loads(text), "project", "license")


def _rust(text: str) -> object:
    return _inner(tomllib.loads(text), "package", "license")


def _inner(value: object, *names: str) -> object:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


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
    name: str, directory: Path | None, environment: Path | None
) -> tuple[InstalledPackage, ...]:
    """Return what a project has installed under a name, from PyPI and from npm.

    `directory` is that of the project, `environment` its Python environment; None leaves out the
    packages of npm or of PyPI. This blocks on the disk; what cannot be read is left out.
    """
    found = [
        _of_npm(name, directory) if directory else None,
        _of_python(name, environment) if environment else None,
    ]
    return tuple(each for each in found if each is not None)


def _of_python(name: str, environment: Path) -> InstalledPackage | None:
    folder = metadata_folder(name, environment)
    return None if folder is None else _read_metadata(text_of(folder / "METADATA") or "")


def metadata_folder(name: str, environment: Path) -> Path | None:
    """Return the folder of a package's metadata in an environment; this blocks on the disk."""
    for folder in _site_packages(environment):
        with suppress(OSError):
            for entry in islice(folder.iterdir(), MOST_ENTRIES):
                if _is_metadata_of(name, entry.name):
                    return entry
    return None


def declared_licence(metadata: str) -> str:
    """Return the licence that the METADATA of a package declares, "unknown" if it names none."""
    message = HeaderParser().parsestr(metadata.partition("\n\n")[0])
    declared = str(message.get("License-Expression") or message.get("License") or "").strip()
    if _is_expression(declared):
        return declared
    labels = message.get_all("Classifier", [])
    found = (_BY_CLASSIFIER.get(label.rpartition(" :: ")[2]) for label in labels)
    known = next((each for each in found if each), None)
    return known or licence_of_text(declared) or UNKNOWN_LICENCE


_BY_CLASSIFIER = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "ISC License (ISCL)": "ISC",
    "Python Software Foundation License": "PSF-2.0",
}
"""SPDX ids of the classifiers of packages that name one licence."""


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
