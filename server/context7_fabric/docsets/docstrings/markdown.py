"""Docstrings as Markdown: a section for each public name, in a form that a reader can use."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import griffe

LONGEST_HEADING: Final = 160
"""Characters of a call in a heading; a longer one goes without the defaults, or is cut."""

LONGEST_SIGNATURE: Final = 600
"""Characters of a signature with types; stubs join overloads to longer ones, which tell little."""

_UNDERLINED = re.compile(r"^(?P<title>\S.*)\n(?P<line>[-=~^\"*+#]{3,})[ \t]*$", re.MULTILINE)
_ROLE = re.compile(r":(?:[a-z]+:)?[a-z]+:`~?\.?(?:[^`<]*<)?(?P<name>[^`>]+)>?`")
_LITERAL = re.compile(r"``(?P<text>[^`]+)``")
_DIRECTIVE = re.compile(r"^[ \t]*\.\. (?P<name>[\w-]+)::[ \t]*(?P<text>.*)$", re.MULTILINE)
_CODE_DIRECTIVE = re.compile(
    r"^(?P<indent>[ \t]*)\.\. (?:code-block|code|sourcecode|plot|ipython)::[ \t]*(?P<language>\w*)"
    r".*\n(?:[ \t]*:.*\n)*(?P<body>(?:(?P=indent)[ \t]+.*\n?|[ \t]*\n)+)",
    re.MULTILINE,
)
_DOCTEST = re.compile(
    r"(?:^[ \t]*>>> .*\n?(?:^[ \t]*\S.*\n?)*(?:\n(?=[ \t]*>>> ))?)+", re.MULTILINE
)
_HASH = re.compile(r"^(?=#)", re.MULTILINE)
_OF_NUMPY = r"^[ \t]*(?:Parameters|Returns|Examples|Yields|Raises|Notes|Attributes)\n[ \t]*-{3,}"
_OF_GOOGLE = r"^[ \t]*(?:Args|Arguments|Parameters|Returns|Raises|Yields|Attributes):[ \t]*$"
_OF_SPHINX = r"^[ \t]*:(?:param|type|returns?|rtype|raises)\b"
_STYLES: Final = (
    (re.compile(_OF_NUMPY, re.MULTILINE), "numpy"),
    (re.compile(_OF_GOOGLE, re.MULTILINE), "google"),
    (re.compile(_OF_SPHINX, re.MULTILINE), "sphinx"),
)
_TITLES: Final = {
    "parameters": "Parameters",
    "other parameters": "Other parameters",
    "returns": "Returns",
    "yields": "Yields",
    "receives": "Receives",
    "raises": "Raises",
    "warns": "Warns",
    "attributes": "Attributes",
}
_LEFT_OUT: Final = frozenset({"references"})


def section_of(name: str, member: griffe.Object, level: int) -> str:
    """Return the section of a class, function or attribute; `name` is its public name."""
    parts = [f"{'#' * level} {_heading(name, member)}", *_signature(name, member)]
    parts += docstring_parts(member)
    return "\n\n".join(parts)


def docstring_parts(member: griffe.Object) -> Iterator[str]:
    """Yield the parts of an object's docstring as Markdown."""
    if member.docstring is None:
        return
    for section in _parsed(member.docstring):
        kind = section.kind.value
        if kind == "text":
            yield prose(section.value)
        elif kind == "examples":
            yield from _examples(section.value)
        elif kind == "admonition":
            yield from _admonition(section)
        elif kind in _TITLES:
            yield "\n".join([f"**{_TITLES[kind]}**", "", *map(_item, section.value)])
        elif kind == "deprecated":
            yield f"**Deprecated** {section.value.version}: {prose(section.value.description)}"


def _heading(name: str, member: griffe.Object) -> str:
    if not isinstance(member, griffe.Function):
        return f"`{name}`"
    shown = list(_parameters(member, with_types=False))
    bare = ", ".join(each.partition("=")[0] for each in shown)
    calls = (f"{name}({', '.join(shown)})", f"{name}({bare})", f"{name}(…)")
    return f"`{next(call for call in calls if len(call) <= LONGEST_HEADING or call == calls[-1])}`"


def _signature(name: str, member: griffe.Object) -> Iterator[str]:
    """Yield the signature with its types in a fence; what has none says it in its heading."""
    text = ""
    if isinstance(member, griffe.Function):
        text = f"{name}({', '.join(_parameters(member, with_types=True))})"
        if member.returns is not None:
            text += f" -> {member.returns}"
        elif ": " not in text:
            text = ""
    elif isinstance(member, griffe.Class) and member.bases:
        text = f"class {name}({', '.join(map(str, member.bases))})"
    elif isinstance(member, griffe.Attribute) and member.annotation is not None:
        value = "" if member.value is None else f" = {member.value}"
        text = f"{name}: {member.annotation}" + (value if len(value) < LONGEST_HEADING else "")
    if text and len(text) <= LONGEST_SIGNATURE:
        yield _fence(text, "python")


def _parameters(function: griffe.Function, *, with_types: bool) -> Iterator[str]:
    """Yield the parameters as they are declared, with the marks between their kinds."""
    is_after_star = False
    for parameter in function.parameters:
        kind = parameter.kind.value if parameter.kind else ""
        if kind == "keyword-only" and not is_after_star:
            is_after_star = True
            yield "*"
        is_after_star |= kind == "variadic positional"
        if parameter.name not in {"self", "cls"}:
            yield _parameter(parameter, _STARS.get(kind, ""), with_types=with_types)


def _parameter(parameter: griffe.Parameter, stars: str, *, with_types: bool) -> str:
    annotation = parameter.annotation if with_types else None
    typed = f"{stars}{parameter.name}" + (f": {annotation}" if annotation is not None else "")
    if parameter.default is None or stars:
        return typed
    return (
        f"{typed} = {parameter.default}"
        if annotation is not None
        else f"{typed}={parameter.default}"
    )


_STARS: Final = {"variadic positional": "*", "variadic keyword": "**"}


def _parsed(docstring: griffe.Docstring) -> Sequence[griffe.DocstringSection]:
    style = next((style for form, style in _STYLES if form.search(docstring.value)), None)
    try:
        return docstring.parse(style)  # type: ignore[arg-type]  # a style by its name
    except Exception:  # noqa: BLE001  # of whatever a docstring may hold
        return docstring.parse(None)


def _item(element: griffe.DocstringElement) -> str:
    name = getattr(element, "name", "") or ""
    annotation = str(element.annotation) if element.annotation is not None else ""
    head = f"`{name}`" + (f" ({annotation})" if annotation else "") if name else f"`{annotation}`"
    text = textwrap.indent(prose(element.description or ""), "  ").strip()
    return f"- {head}: {text}" if text else f"- {head}"


def _examples(parts: Iterable[tuple[griffe.DocstringSectionKind, str]]) -> Iterator[str]:
    yield "**Examples**"
    for kind, text in parts:
        yield _fence(text, "pycon") if kind.value == "examples" else prose(text)


def _admonition(section: griffe.DocstringSection) -> Iterator[str]:
    title = (section.title or section.value.kind or "").strip()
    if title.lower() not in _LEFT_OUT and section.value.contents:
        yield f"**{title}**\n\n{prose(section.value.contents)}"


def prose(text: str) -> str:
    """Return reStructuredText as docstrings use it, or Markdown, as Markdown without headings."""
    text = textwrap.dedent(text).strip("\n") + "\n"
    kept = list[str]()

    def fenced(found: re.Match[str]) -> str:
        kept.append(_fenced_block(found))
        return f"\n\n\0{len(kept) - 1}\0\n\n"

    if "```" not in text:
        text = _DOCTEST.sub(fenced, _CODE_DIRECTIVE.sub(fenced, text.replace("\0", "")))
        text = _HASH.sub(r"\\", _UNDERLINED.sub(r"**\g<title>**\n", text))
    text = _DIRECTIVE.sub(lambda found: f"{found['name'].title()}: {found['text']}", text)
    text = _LITERAL.sub(r"`\g<text>`", _ROLE.sub(r"`\g<name>`", text))
    text = re.sub("\0(\\d+)\0", lambda found: kept[int(found[1])], text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _fenced_block(found: re.Match[str]) -> str:
    """Return a block of code, or a session of the interpreter, in a fence."""
    groups = found.groupdict()
    code = textwrap.dedent(groups.get("body") or found[0]).strip("\n")
    language = groups.get("language") or ("pycon" if ">>> " in code else "python")
    return _fence(code, language)


def _fence(code: str, language: str) -> str:
    return f"```{language}\n{code}\n```"
