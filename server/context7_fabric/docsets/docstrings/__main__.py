"""Entry of the process: `SITE OUT PACKAGE…` writes pages of each public module into OUT.

It writes one JSON object to standard output: `pages`, the names of the files in OUT, and
`compiled`, the modules without a source, whose docstrings cannot be read.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import griffe

from context7_fabric.docsets.docstrings.markdown import docstring_parts, prose, section_of
from context7_fabric.docsets.docstrings.members import (
    Member,
    added_docstrings,
    public_members,
    public_modules,
)

PAGE = 200_000
"""Characters of a page; files over 1 MiB are not read."""

_COMPILED = (".so", ".pyd")


def main(words: list[str]) -> int:
    """Write the pages of the packages; return the exit code."""
    logging.disable()
    site, out = Path(words[0]), Path(words[1])
    loader = griffe.GriffeLoader(search_paths=[site], allow_inspection=False)
    packages = [loader.load(name, try_relative_path=False) for name in words[2:]]
    loader.resolve_aliases(implicit=True, external=False)
    pages, compiled = list[str](), list[str]()
    for package in packages:
        if isinstance(package, griffe.Object):
            pages += (_written(out, *page) for page in _pages(package, site))
        compiled += _compiled(site, package.name)
    sys.stdout.write(json.dumps({"pages": pages, "compiled": compiled}))
    return 0


def _pages(package: griffe.Object, site: Path) -> Iterator[tuple[str, str]]:
    """Yield names and texts of pages: one of each public module, several of a long one."""
    by_module = _by_module(package, site)
    modules = {module.path: module for module in public_modules(package)}
    for path in sorted(by_module.keys() | modules.keys()):
        head = docstring_parts(modules[path]) if path in modules else ()
        for number, sections in enumerate(_bounded([*head, *by_module.get(path, ())]), start=1):
            name = path if number == 1 else f"{path}-{number}"
            yield f"{name}.md", "\n\n".join([f"# {path}", *sections])


def _bounded(sections: Iterable[str]) -> Iterator[list[str]]:
    """Yield the sections in lists of about the length of a page."""
    page, length = list[str](), 0
    for section in sections:
        if page and length + len(section) > PAGE:
            yield page
            page, length = [], 0
        page.append(section)
        length += len(section)
    if page:
        yield page


def _by_module(package: griffe.Object, site: Path) -> dict[str, list[str]]:
    """Return the sections of the public names of a package by their module."""
    members = public_members(package)
    found = defaultdict[str, list[str]](list)
    for member in members:
        found[member.module] += _sections(member)
    known = {each.name for each in members if each.definition.docstring is not None}
    for name, text in added_docstrings(_sources(site, package.name), site):
        if name not in known:
            known.add(name)
            found[name.rpartition(".")[0]].append(f"## `{name}`\n\n{prose(text)}")
    return found


def _sections(member: Member) -> Iterator[str]:
    """Yield the sections of a member and of its own public methods and attributes."""
    definition = member.definition
    if definition.docstring is not None or definition.is_function or definition.is_class:
        yield section_of(member.name, definition, 2)
    if definition.is_class:
        for name, inner in definition.members.items():
            is_shown = not name.startswith("_") and not inner.is_alias
            if is_shown and isinstance(inner, griffe.Object) and inner.docstring is not None:
                yield section_of(f"{member.name}.{name}", inner, 3)


def _sources(site: Path, package: str) -> Iterator[Path]:
    return iter(sorted((site / package).rglob("*.py")))


def _compiled(site: Path, package: str) -> list[str]:
    """Return the public modules that have neither a source nor a stub beside them."""
    found = (path for path in (site / package).rglob("*") if path.suffix in _COMPILED)
    names = ((path, path.name.partition(".")[0]) for path in found)
    bare = (path for path, name in names if not name.startswith("_") and not _stub(path, name))
    return sorted(path.relative_to(site).as_posix() for path in bare)


def _stub(path: Path, name: str) -> bool:
    return any(path.with_name(name + ending).exists() for ending in (".pyi", ".py"))


def _written(out: Path, name: str, text: str) -> str:
    (out / name).write_text(text, "utf-8", errors="replace")
    return name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
