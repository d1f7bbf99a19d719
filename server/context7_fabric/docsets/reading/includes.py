"""Includes of other files, expanded before a document is read.

Known are the forms of FastAPI, MkDocs, VitePress, Docusaurus, Mintlify, Hugo, Jekyll, DocFX, Svelte
and Sphinx. A target is looked for beside the document and then from each folder above it, because
generators have roots of their own.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from context7_fabric.docsets.reading.lines import Fence, opening, split, width
from context7_fabric.docsets.reading.outline import dedent

Include = Callable[[str, str], str | None]
"""Function from a document's path and a target, relative to it, to the text of a file or None."""

DEEPEST = 3
"""Includes within includes."""

MOST_LOOKUPS = 5_000
"""Places in which the targets of one document are looked for."""

MOST_INCLUDED = 1_000_000
"""Characters that all includes of one document may add."""

MOST_FOLDERS = 8
"""Folders above a document in which a target is looked for."""

NOT_FOUND = "include of {}"
LAYOUT = "layout"


@dataclass(slots=True)
class Expanded:
    """Lines with all includes in place; `numbers` are the lines of the document they stem from.

    `left_out` has the kind of each line of the document that brought nothing.
    """

    lines: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    left_out: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Reference:
    """Include on one line: which file, and which part of it."""

    target: str
    part: str = ""
    language: str = ""


_MARKDOWN_FORMS = tuple(
    re.compile(form)
    for form in (
        r"\{\*\s*(?P<target>[^\s*]+)(?:\s+ln\[(?P<part>[^\]]*)\])?[^*]*\*\}",
        r"<!--\s*@include:\s*(?P<target>[^\s{#]+)(?:#[\w-]+)?(?:\{(?P<span>[^}]*)\})?\s*-->",
        r"<<<\s*(?P<target>[@./\w][^\s#{\[]*)(?P<part>#[\w-]+)?(?:\s*\{[^}]*\})?.*",
        r"-{1,2}8<-{1,2}\s+[\"'](?P<target>[^\"':]+)(?::(?P<part>[^\"']*))?[\"']",
        r"@include\s+(?P<target>[^\s(]+)",
        r"\{\{[%<]\s*[\w/-]*(?:include|read-?file|snippet)[\w/-]*\s+(?:\w+=)?\"(?P<target>[^\"]+)\"[^}]*\}\}",
        r"\{%-?\s*include(?:_relative|-markdown)?\s+[\"']?(?P<target>[^\s\"'%]+)[\"']?[^%]*%\}",
        r"\[!INCLUDE\s*\[[^\]]*\]\((?P<target>[^)]+)\)\]",
        r"\[!code-(?P<language>[\w-]+)\[[^\]]*\]\((?P<target>[^)?#]+)[^)]*\)\]",
        r"<Snippet\s+file=\"(?P<target>[^\"]+)\"\s*/?>",
    )
)
_MAY_INCLUDE = re.compile(
    r"\{\*|@include|<<<|8<-|\{\{[%<]|\{%|\[!INCLUDE|\[!code-|<Snippet|\.mdx?['\"]|raw-loader"
)
_MARKS = (
    "{*", "@include", "<<<", "8<-", "{{%", "{{<", "{%", "[!INCLUDE", "[!code-", "<Snippet",
    ".md'", '.md"', ".mdx'", '.mdx"', "raw-loader",
)  # fmt: skip
_INSIDE_FENCE = re.compile(r"\s*(?:-{1,2}8<-{1,2}\s|\{\{[%<])")
_IMPORT = re.compile(r"import\s+([A-Z]\w*)\s+from\s+['\"]([^'\"]+)['\"]")
_COMPONENT = re.compile(r"<(?P<tag>[A-Z]\w*)(?:\s[^<>]*)?/>|[^{}]*\{(?P<value>[A-Z]\w*)\}[^{}]*")
_CUTS = re.compile(r"-{1,2}8<-{1,2}\s*")
_FOLDERS = ("", "_includes/", "snippets/")
_TEXT = (".md", ".mdx", ".markdown", ".txt", ".rst", ".html")


Numbered = Sequence[tuple[int, str]]
"""Lines with their numbers in the document."""


def expand_markdown(path: str, lines: list[str], first: int, include: Include) -> Expanded:
    """Return the lines of a Markdown document, numbered from `first`, with includes in place."""
    return _expand(_Expansion.markdown, _MARKS, path, lines, first, include)


def expand_rst(path: str, lines: list[str], first: int, include: Include) -> Expanded:
    """Return the lines of a reStructuredText document with its includes in place."""
    return _expand(_Expansion.rst, ("include::",), path, lines, first, include)


def expand_asciidoc(path: str, lines: list[str], first: int, include: Include) -> Expanded:
    """Return the lines of an AsciiDoc document with its includes in place."""
    return _expand(_Expansion.asciidoc, ("include::",), path, lines, first, include)


class _Expansion:
    """One document being expanded, with the characters that its includes may still add.

    `above` are the path of the file that is read, last, and those of the files that include it.
    """

    def __init__(self, include: Include) -> None:
        self.out = Expanded()
        self._include = include
        self._left = MOST_INCLUDED
        self._lookups = MOST_LOOKUPS

    def _add(self, number: int, line: str) -> None:
        self.out.lines.append(line)
        self.out.numbers.append(number)

    def _leave_out(self, number: int, kind: str, above: Sequence[str]) -> None:
        if len(above) == 1:
            self.out.left_out[number] = kind

    def _file(self, target: str, above: tuple[str, ...]) -> tuple[str, list[str]] | None:
        """Return path and lines of an included file.

        None if there is none, if it includes the file that asks, or if the bounds are reached.
        """
        path = above[-1]
        if len(above) > DEEPEST:
            return None
        for relative in _candidates(path, target):
            name = posixpath.normpath(posixpath.join(posixpath.dirname(path), relative))
            if name in above or name.startswith("..") or self._lookups <= 0:
                continue
            self._lookups -= 1
            text = self._include(path, relative)
            if text is not None:
                self._left -= len(text)
                return (name, split(text)) if self._left >= 0 else None
        return None

    # ----------------------------------------------------------------------- Markdown

    def markdown(self, lines: Numbered, above: tuple[str, ...]) -> None:
        """Add numbered lines of a Markdown file."""
        imports, is_list = _imports(lines), False
        fence: Fence | None = None
        for number, line in lines:
            if _CUTS.fullmatch(line.strip()):
                is_list = not is_list
                self._leave_out(number, LAYOUT, above)
                continue
            before, fence = fence, _fence_after(fence, line)
            found = _reference(line, imports, is_list=is_list)
            if found is None or (fence and not _INSIDE_FENCE.match(line) and not is_list):
                self._add(number, line)
            else:
                self._put(number, line, found, above, is_code=before is not None)

    def _put(
        self, number: int, line: str, found: _Reference, above: tuple[str, ...], *, is_code: bool
    ) -> None:
        """Add what a line includes; inside a fence an unknown include stays, as an example."""
        file = self._file(found.target, above)
        indent = line[: len(line) - len(line.lstrip())]
        if file is None and is_code:
            self._add(number, line)
        elif file is None:
            self._leave_out(number, NOT_FOUND.format(found.target[:LONGEST_NAME]), above)
        else:
            self._leave_out(number, "empty includes", above)
            self._put_file(number, indent, found, file, above, is_code=is_code)

    def _put_file(
        self,
        number: int,
        indent: str,
        found: _Reference,
        file: tuple[str, list[str]],
        above: tuple[str, ...],
        *,
        is_code: bool,
    ) -> None:
        name, body = file[0], selected(file[1], found.part)
        if is_code:
            added = [indent + each for each in body]
        elif name.endswith(_TEXT) and not found.language:
            text = [(number, indent + each) for each in _without_front_matter(body)]
            self.markdown([(number, ""), *text, (number, "")], (*above, name))
            return
        else:
            added = ["", *_fenced(body, found.language or _suffix(name), indent), ""]
        for each in added:
            self._add(number, each)

    # ----------------------------------------------------------------------- reStructuredText

    def rst(self, lines: Numbered, above: tuple[str, ...]) -> None:
        """Add numbered lines of a reStructuredText file."""
        at = 0
        while at < len(lines):
            number, line = lines[at]
            found = _RST_FORM.fullmatch(line) if "include::" in line else None
            if found is None:
                self._add(number, line)
                at += 1
                continue
            end = at + 1
            while end < len(lines) and _RST_OPTION.fullmatch(lines[end][1]):
                end += 1
            options = dict(_option(each) for _, each in lines[at + 1 : end])
            self._put_rst([each for each, _ in lines[at:end]], found, options, above)
            at = end

    def _put_rst(
        self,
        numbers: Sequence[int],
        found: re.Match[str],
        options: dict[str, str],
        above: tuple[str, ...],
    ) -> None:
        file = self._file(found["target"], above)
        kind = "settings of the page" if file else NOT_FOUND.format(found["target"][:LONGEST_NAME])
        for number in numbers:
            self._leave_out(number, kind, above)
        if file is None:
            return
        name, body = file[0], sphinx_selected(file[1], options)
        indent, number = found["indent"], numbers[0]
        if found["literal"] or options.keys() & {"code", "literal"}:
            language = options.get("language") or options.get("code") or _suffix(name)
            head = ["", f"{indent}.. code-block:: {language}", ""]
            body = [f"{indent}   {each}" for each in body]
            for each in (*head, *body, ""):
                self._add(number, each)
        else:
            self.rst([(number, indent + each) for each in ("", *body, "")], (*above, name))

    # ----------------------------------------------------------------------- AsciiDoc

    def asciidoc(self, lines: Numbered, above: tuple[str, ...], deeper: int = 0) -> None:
        """Add numbered lines of an AsciiDoc file, its headings `deeper` levels down."""
        for number, line in lines:
            found = _ASCIIDOC_FORM.fullmatch(line) if "include::" in line else None
            if found is None:
                is_heading = deeper and _ASCIIDOC_HEADING.match(line)
                self._add(number, "=" * deeper + line if is_heading else line)
                continue
            file = self._file(found["target"], above)
            kind = LAYOUT if file else NOT_FOUND.format(found["target"][:LONGEST_NAME])
            self._leave_out(number, kind, above)
            if file is not None:
                options = dict(
                    each.split("=", 1) for each in found["list"].split(",") if "=" in each
                )
                body = _tagged(file[1], options.get("tag") or options.get("tags", ""))
                offset = _number(options.get("leveloffset", "").lstrip("+"), 0) or 0
                self.asciidoc([(number, each) for each in body], (*above, file[0]), deeper + offset)


_ASCIIDOC_FORM = re.compile(r"include::(?P<target>[^\s\[]+)\[(?P<list>[^\]]*)\]")
_ASCIIDOC_HEADING = re.compile(r"={1,6}[ \t]+\S")
_TAG = re.compile(r"(?P<end>end|tag)::(?P<name>[\w.-]+)\[\]")


def _tagged(lines: list[str], names: str) -> list[str]:
    """Return the lines of the regions that `names` lists, all of them if it lists none."""
    wanted = {each.strip() for each in re.split(r"[,;]", names.strip('"')) if each.strip()}
    kept, open_tags = list[str](), list[str]()
    for line in lines:
        mark = _TAG.search(line) if "::" in line else None
        if mark is None:
            if not wanted or wanted & set(open_tags):
                kept.append(line)
        elif mark["end"] == "tag":
            open_tags.append(mark["name"])
        elif mark["name"] in open_tags:
            open_tags.remove(mark["name"])
    return dedent(kept) if wanted else kept


def _expand(
    read: Callable[[_Expansion, Numbered, tuple[str, ...]], None],
    marks: Sequence[str],
    path: str,
    lines: list[str],
    first: int,
    include: Include,
) -> Expanded:
    text = "\n".join(lines)
    if not any(mark in text for mark in marks):
        return Expanded(lines, list(range(first, first + len(lines))))
    expansion = _Expansion(include)
    read(expansion, list(enumerate(lines, start=first)), (path,))
    return expansion.out


LONGEST_NAME = 200
"""Characters of a target that are named as left out."""

_RST_FORM = re.compile(
    r"(?P<indent>[ \t]*)\.\. +(?P<literal>literal)?include:: *(?P<target>\S+)[ \t]*"
)
_RST_OPTION = re.compile(r"[ \t]+:[\w-]+:.*")


def _option(line: str) -> tuple[str, str]:
    _, name, value = line.split(":", 2)
    return name, value.strip()


def _imports(lines: Numbered) -> dict[str, str]:
    """Return the files that names stand for in an MDX document."""
    found = (_IMPORT.match(line) for _, line in lines if line.startswith("import"))
    return {
        each[1]: each[2].rpartition("!")[2]
        for each in found
        if each and (each[2].endswith((".md", ".mdx")) or "raw-loader" in each[2])
    }


def _fence_after(fence: Fence | None, line: str) -> Fence | None:
    """Return the fence that is open after `line`."""
    if fence is None:
        return opening(line)
    return None if fence.is_closed_by(line) else fence


def _reference(line: str, imports: dict[str, str], *, is_list: bool) -> _Reference | None:
    """Return what a line includes, if it does nothing else."""
    stripped = line.strip()
    if is_list:
        return _Reference(stripped) if stripped else None
    if imports and (found := _COMPONENT.fullmatch(stripped)):
        target = imports.get(found["tag"] or found["value"])
        return _Reference(target) if target else None
    if len(stripped) > LONGEST_REFERENCE or not _MAY_INCLUDE.search(stripped):
        return None
    for form in _MARKDOWN_FORMS:
        if found := form.fullmatch(stripped):
            parts = found.groupdict()
            part = parts.get("part") or (parts.get("span") or "").replace(",", ":")
            return _Reference(parts["target"], part, parts.get("language") or "")
    return None


LONGEST_REFERENCE = 1_000
"""Characters of a line above which it is no include."""


def _candidates(path: str, target: str) -> Iterator[str]:
    """Yield the paths, relative to the folder of `path`, at which a target may lie."""
    is_rooted = target.startswith(("/", "@"))
    bare = re.sub(r"^(?:@site/|@/|/|@)", "", target)
    depth = min(path.count("/"), MOST_FOLDERS)
    above = range(depth, -1, -1) if is_rooted else range(depth + 1)
    folders = _FOLDERS if not bare.startswith(".") else _FOLDERS[:1]
    yield from ("../" * steps + folder + bare for folder in folders for steps in above)
    if bare.startswith("../"):
        yield from ("../" * steps + bare.replace("../", "") for steps in above)


def _suffix(name: str) -> str:
    """Return the language of a file of code by its suffix."""
    suffix = posixpath.splitext(name)[1].lstrip(".").lower()
    return {"py": "python", "yml": "yaml", "rs": "rust", "rb": "ruby", "md": "markdown"}.get(
        suffix, suffix
    )


def _fenced(body: Sequence[str], language: str, indent: str) -> list[str]:
    longest = max((len(run[0]) for line in body if (run := re.match(r"\s*`+", line))), default=0)
    fence = "`" * max(3, longest + 1)
    return [indent + each for each in (f"{fence}{language}", *body, fence)]


def _without_front_matter(body: list[str]) -> list[str]:
    if body[:1] != ["---"] or "---" not in body[1:]:
        return body
    return body[body.index("---", 1) + 1 :]


# --------------------------------------------------------------------------- Parts of files

_RANGE = re.compile(r"(\d*)\s*[:-]\s*(\d*)|(\d+)")
_REGION = re.compile(
    r"(?:#|//|/\*|<!--|--)?\s*#?(end)?region\s+(?P<vs>[\w-]+)|-{1,2}8<-{1,2}\s*\[(?P<mk>start|end):\s*(?P<name>[\w-]+)\]"
)


def selected(lines: list[str], part: str) -> list[str]:
    """Return the part of a file that an include names: ranges of lines, or a region."""
    if not part.strip():
        return lines
    if any(character.isdigit() for character in part) and _RANGE.match(part.strip()):
        return _ranges(lines, part)
    return _region(lines, part.strip().lstrip("#")) or lines


def _ranges(lines: list[str], part: str) -> list[str]:
    """Return ranges of lines, such as `1:5,8` or `3-` or `-7`, counted from one."""
    chosen = list[str]()
    for text in re.split(r"\s*,\s*", part.strip())[:MOST_RANGES]:
        found = _RANGE.fullmatch(text)
        if found and found[3]:
            chosen += lines[int(found[3]) - 1 : int(found[3])]
        elif found:
            chosen += lines[max(0, int(found[1] or 1) - 1) : int(found[2] or len(lines))]
    return dedent(chosen)


MOST_RANGES = 50


def _region(lines: list[str], name: str) -> list[str]:
    """Return the lines of a region, without the marks of regions within."""
    marks = [at for at, line in enumerate(lines) if name in line and _REGION.search(line)]
    if not marks:
        return []
    end = marks[1] if len(marks) > 1 else len(lines)
    return dedent([line for line in lines[marks[0] + 1 : end] if not _REGION.search(line)])


def sphinx_selected(lines: list[str], options: dict[str, str]) -> list[str]:
    """Return the part of a file that the options of Sphinx and docutils name."""
    if "pyobject" in options:
        lines = _python_object(lines, options["pyobject"])
    if "lines" in options:
        lines = _ranges(lines, options["lines"])
    if "start-line" in options or "end-line" in options:
        lines = lines[
            _number(options.get("start-line"), 0) : _number(options.get("end-line"), None)
        ]
    lines = _from_mark(lines, options)
    return dedent(lines) if "dedent" in options else lines


def _number(text: str | None, otherwise: int | None) -> int | None:
    return int(text) if text and re.fullmatch(r"-?\d{1,9}", text) else otherwise


def _from_mark(lines: list[str], options: dict[str, str]) -> list[str]:
    """Return the lines between the marks that the options name."""
    for option, offset in (("start-after", 1), ("start-at", 0)):
        if mark := options.get(option):
            start = next((at for at, line in enumerate(lines) if mark in line), -offset)
            lines = lines[start + offset :]
    for option, offset in (("end-before", 0), ("end-at", 1)):
        if mark := options.get(option):
            end = next((at for at, line in enumerate(lines) if mark in line), len(lines))
            lines = lines[: end + offset]
    return lines


def _python_object(lines: list[str], name: str) -> list[str]:
    """Return the lines of a function or a class, `Class.method` included; all if it is absent."""
    for part in name.split("."):
        head = re.compile(rf"\s*(?:async\s+)?(?:def|class)\s+{re.escape(part)}\b")
        start = next((at for at, line in enumerate(lines) if head.match(line)), None)
        if start is None:
            return lines
        end = start + 1
        while end < len(lines) and (
            not lines[end].strip() or width(lines[end]) > width(lines[start])
        ):
            end += 1
        while start and lines[start - 1].lstrip().startswith("@"):
            start -= 1
        lines = lines[start:end]
    return dedent(lines)
