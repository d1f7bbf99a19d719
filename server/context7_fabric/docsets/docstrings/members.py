"""Public names of a package, as its users write them, and the definitions behind them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import griffe

DEEPEST: Final = 12
"""Modules within each other that are looked into."""

_PUBLIC: Final = re.compile(r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)+")
_OTHERS: Final = re.compile(r"tests?|testing|conftest|setup|distutils|f2py", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Member:
    """Definition under its public name; `module` is the public module that it is used from."""

    name: str
    module: str
    definition: griffe.Object


def public_members(package: griffe.Object) -> list[Member]:
    """Return the public classes, functions and attributes of a package, each once.

    A definition in a private module is called by the shortest public name that it is imported
    under; one that is made public at run time by the nearest public package above it.
    """
    found = dict[str, Member]()
    for member in sorted(
        _members(package), key=lambda each: (each.name.count("."), len(each.name))
    ):
        found.setdefault(member.definition.path, member)
    names = {each.name for each in found.values()}
    for member in _listed_in_private(package):
        if member.definition.path not in found and member.name not in names:
            found[member.definition.path] = member
    return sorted(found.values(), key=lambda each: each.name)


def _members(module: griffe.Object, depth: int = 0) -> Iterator[Member]:
    for name, member in module.members.items():
        if name.startswith("_"):
            continue
        if not member.is_alias and member.is_module:
            if depth < DEEPEST and not _OTHERS.fullmatch(name):
                yield from _members(member, depth + 1)  # type: ignore[arg-type]  # no alias
            continue
        definition = _definition(member)
        is_own = definition is not None and _package_of(definition.path) == _package_of(module.path)
        if definition is not None and is_own and not definition.is_module:
            yield Member(f"{module.path}.{name}", module.path, definition)


def _listed_in_private(module: griffe.Object, depth: int = 0) -> Iterator[Member]:
    """Yield what private modules list in `__all__`, by the name of the public package above."""
    for name, member in module.members.items():
        if member.is_alias or not member.is_module or depth >= DEEPEST or _OTHERS.fullmatch(name):
            continue
        yield from _listed_in_private(member, depth + 1)  # type: ignore[arg-type]  # no alias
        if name.startswith("_") and not name.startswith("__"):
            listed = member.exports or ()
            for each in (name for name in map(str, listed) if not name.startswith("_")):
                definition = _definition(member.members.get(each))
                if definition is not None and not definition.is_module:
                    public = public_path(member.path)
                    yield Member(f"{public}.{each}", public, definition)


def public_modules(module: griffe.Object) -> Iterator[griffe.Object]:
    """Yield a package and the public modules below it, but for those of tests and builds."""
    yield module
    for name, member in module.members.items():
        is_public = not name.startswith("_") and not _OTHERS.fullmatch(name)
        if is_public and isinstance(member, griffe.Module):
            yield from public_modules(member)


def _definition(member: griffe.Object | griffe.Alias | None) -> griffe.Object | None:
    if member is None:
        return None
    with suppress(griffe.AliasResolutionError, griffe.CyclicAliasError):
        return member.final_target if isinstance(member, griffe.Alias) else member
    return None


def _package_of(path: str) -> str:
    return path.partition(".")[0]


def public_path(path: str) -> str:
    """Return the path of the nearest public package or module that holds `path`."""
    parts = path.split(".")
    private = next((at for at, part in enumerate(parts) if part.startswith("_")), len(parts))
    return ".".join(parts[:private])


def added_docstrings(files: Iterator[Path], root: Path) -> Iterator[tuple[str, str]]:
    """Yield public names and docstrings that `add_newdoc` gives to compiled definitions.

    numpy and scipy do so in modules of their own; these are read, and not run.
    """
    for path in files:
        text = path.read_text("utf-8", "replace")
        if "add_newdoc(" in text:
            module = ".".join(path.relative_to(root).with_suffix("").parts)
            with suppress(SyntaxError, ValueError, RecursionError):
                yield from _added(ast.parse(text), module)


def _added(tree: ast.Module, module: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if is_call and node.func.id == "add_newdoc" and len(node.args) > 1:  # type: ignore[attr-defined]
            *place, doc = node.args  # type: ignore[attr-defined]  # a call
            named = [each.value for each in place if isinstance(each, ast.Constant)]
            for name, text in _texts(doc):
                where = public_path(str(named[0]) if len(named) > 1 else module)
                public = ".".join([where, *map(str, named[-1:]), *name])
                if _PUBLIC.fullmatch(public):
                    yield public, text


def _texts(node: ast.expr) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the texts of the third argument: one, or those of members as pairs with their names."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield (), node.value
    elif isinstance(node, ast.Call) and node.args:
        yield from _texts(node.args[0])
    elif isinstance(node, ast.List):
        for each in node.elts:
            yield from _texts(each)
    elif isinstance(node, ast.Tuple) and len(node.elts) == 2:  # noqa: PLR2004  # a pair
        name, text = node.elts
        if isinstance(name, ast.Constant):
            yield from (((str(name.value),), each) for _, each in _texts(text))
