"""Documents read as tests read them: with the files that they may include."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from context7_fabric.docsets.models import DocSnippet
from context7_fabric.docsets.reading.documents import DocumentReading, read_document
from context7_fabric.docsets.reading.sections import DEFAULT_BOUNDS, Bounds


def read(
    text: str,
    path: str = "docs/page.md",
    files: Mapping[str, str] | None = None,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> DocumentReading:
    """Read a document; `files` are the other files of the source by their path."""

    def include(path: str, target: str) -> str | None:
        name = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        return (files or {}).get(name)

    return read_document(path, text, include, bounds)


def only(reading: DocumentReading) -> DocSnippet:
    """Return the one snippet of a reading."""
    (snippet,) = reading.snippets
    return snippet


def text_of(text: str, path: str = "docs/page.md", files: Mapping[str, str] | None = None) -> str:
    """Return the text of the one snippet of a document."""
    return only(read(text, path, files)).text
