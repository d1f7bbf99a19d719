"""Licence of a source as an SPDX id, by the metadata of its package or by its text."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
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
