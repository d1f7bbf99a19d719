"""Reader of reStructuredText, line by line, with the directives of Sphinx.

Titles are underlined, and overlined ones are styles apart; their levels follow from the order of
first appearance. What a directive defines (a function, a class) is a section of its own that ends
with its indentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from context7_fabric.docsets.reading import rst_markup as markup
from context7_fabric.docsets.reading.lines import width, without_columns
from context7_fabric.docsets.reading.outline import Outline, dedent

_RUN = re.compile(r"([!-/:-@\[-`{-~])\1*[ \t]*")
_DIRECTIVE = re.compile(r"\.\. +(?P<name>[\w.+-]+(?::[\w.+-]+)*) ?::(?:[ \t]+(?P<argument>.*))?")
_SUBSTITUTION = re.compile(r"\.\. +\|(?P<name>[^|]+)\| +(?P<kind>[\w-]+)::[ \t]*(?P<text>.*)")
_TARGET = re.compile(
    r"\.\. +_(?P<name>(?:[^:\\]|\\.|:(?!\s|$))*):(?:[ \t]+(?P<address>.*))?|__ +\S.*"
)
_FOOTNOTE = re.compile(r"\.\. +(\[(?:[#*]?[\w.-]*)\])[ \t]+(.*)")
_OPTION = re.compile(r"[ \t]*:[\w-]+:(?:[ \t].*)?")
_PAGE_FIELD = re.compile(r":[\w-]+:(?:[ \t].*)?")
_ITEM = re.compile(r"(?:[-*+•]|\(?(?:\d+|#|[a-zA-Z])[.)])[ \t]+")
_NO_TITLE = re.compile(r"\.\.(?:[ \t]|$)|[-*+][ \t]|>>>|:[\w ]+:(?!`)|\|(?![^|]*\|)")
FEWEST_MARKS = 4
"""Length from which on an underline shorter than its title still makes one."""

LEVEL_OF_DEFINITIONS = 100


@dataclass(frozen=True, slots=True)
class _Context:
    """Content of a directive: its indentation, and the level of what it defines (0 for none)."""

    indent: int
    level: int


@dataclass(frozen=True, slots=True)
class _Directive:
    """Directive of the current line, with the lines of its head, its content and its end.

    `inline` is the text on its first line, `arguments` all of its text before options or a blank.
    """

    name: str
    inline: str
    arguments: list[str]
    indent: int
    content: int
    end: int
    options: int


class RstReader:
    """One reading of one document; `read` fills the outline."""

    def __init__(self, lines: list[str], numbers: Sequence[int], outline: Outline) -> None:
        self._lines = lines
        self._numbers = numbers
        self._out = outline
        self._at = 0
        self._contexts: list[_Context] = []
        self._styles: list[tuple[str, bool]] = []
        self._literal: int | None = None
        self._paragraph: list[str] = []
        self._paragraph_lines: list[int] = []
        self._module = ""
        self._classes: list[tuple[int, str]] = []
        self._anchor = ""
        self._substitutions: dict[str, str] = {}
        self._handlers: dict[str, Callable[[_Directive, str], bool]] = {
            **dict.fromkeys(markup.DEFINING, self._define),
            **dict.fromkeys(markup.CODE, self._code_directive),
            **dict.fromkeys(markup.VERSIONS, self._version),
            **dict.fromkeys(markup.TEXTUAL, self._admonition),
            **dict.fromkeys([*markup.PAGE, *markup.LEFT_OUT], self._leave_out),
            "module": self._set_module,
            "currentmodule": self._set_module,
            "autosummary": self._summary,
        }

    def read(self) -> None:
        """Read all lines into the outline."""
        while self._at < len(self._lines):
            raw = self._lines[self._at]
            if raw.strip():
                self._read_line(raw)
            else:
                self._flush()
                self._at += 1
        self._flush()

    # ----------------------------------------------------------------------- Lines

    def _read_line(self, raw: str) -> None:
        indent = width(raw)
        self._close(indent)
        if self._begins_literal(indent):
            self._literal_block()
            return
        line = without_columns(raw, self._base())
        if not self._paragraph and self._structure(line, indent):
            return
        self._text(line)

    def _base(self) -> int:
        return self._contexts[-1].indent if self._contexts else 0

    def _close(self, indent: int) -> None:
        """End the directives whose content is indented more than this line."""
        while self._contexts and indent < self._contexts[-1].indent:
            self._flush()
            context = self._contexts.pop()
            if context.level:
                self._out.leave(context.level)

    def _structure(self, line: str, indent: int) -> bool:
        """Read what may begin only after a blank line; False for text."""
        stripped = line.lstrip()
        if stripped.startswith("..") and self._explicit(stripped.rstrip(), indent):
            return True
        if stripped.startswith(">>>"):
            return self._doctest()
        if indent > self._base():
            return False
        if line.startswith("__ "):
            return self._drop_lines("link targets", self._at + 1)
        return self._page_field(line) or (not self._contexts and self._title(line))

    def _page_field(self, line: str) -> bool:
        is_field = line[0] == ":" and not self._out.is_begun and _PAGE_FIELD.fullmatch(line)
        return bool(is_field) and self._drop_lines(markup.SETTINGS, self._at + 1)

    def _text(self, line: str) -> None:
        self._paragraph.append(line.rstrip())
        self._paragraph_lines.append(self._numbers[self._at])
        self._at += 1

    def _flush(self) -> None:
        """End the open paragraph."""
        if not self._paragraph:
            return
        text, lines = markup.merged(_dedented(self._paragraph)), self._paragraph_lines
        self._paragraph, self._paragraph_lines = [], []
        if text.endswith("::"):
            self._literal = width(self._lines[self._last_filled()])
            text = text[:-1] if text[:-2].rstrip() == text[:-2] else text[:-2].rstrip()
        if text.strip(": "):
            self._out.add_text(self._inline(text), lines)
        else:
            self._out.leave_out("layout", lines)

    def _last_filled(self) -> int:
        at = self._at - 1
        while at > 0 and not self._lines[at].strip():
            at -= 1
        return at

    def _drop_lines(self, kind: str, end: int) -> bool:
        self._out.leave_out(kind, self._filled(self._at, end))
        self._at = end
        return True

    def _filled(self, start: int, end: int) -> list[int]:
        return [self._numbers[at] for at in range(start, end) if self._lines[at].strip()]

    def _block_end(self, start: int, indent: int) -> int:
        """Return the line after those from `start` on that are indented more than `indent`."""
        end = last = start
        while end < len(self._lines):
            if self._lines[end].strip():
                if width(self._lines[end]) <= indent:
                    break
                last = end + 1
            end += 1
        return last

    # ----------------------------------------------------------------------- Code

    def _begins_literal(self, indent: int) -> bool:
        if self._literal is None or self._paragraph:
            return False
        before, self._literal = self._literal, None
        return indent > before

    def _literal_block(self) -> None:
        indent = width(self._lines[self._at])
        end = self._block_end(self._at, indent - 1)
        self._code(self._at, self._at, end, "")

    def _code(self, start: int, content: int, end: int, language: str) -> bool:
        """Add the lines from `content` to `end` as code; those from `start` on belong to it."""
        body = [line.expandtabs(8) for line in self._lines[content:end]]
        self._out.code(body, self._filled(start, end), language)
        self._at = end
        return True

    def _doctest(self) -> bool:
        indent = width(self._lines[self._at])
        end, last = self._at, self._at
        while end < len(self._lines):
            line = self._lines[end]
            if not line.strip():
                following = self._next_filled(end, len(self._lines))
                if not self._goes_on(following, indent):
                    break
                end = following
            elif width(line) < indent:
                break
            last, end = end + 1, end + 1
        return self._code(self._at, self._at, last, "pycon")

    def _next_filled(self, at: int, end: int) -> int:
        """Return the first line from `at` on that is not blank, or `end`."""
        return next((n for n in range(at, end) if self._lines[n].strip()), end)

    def _goes_on(self, at: int, indent: int) -> bool:
        line = self._line(at)
        return line.lstrip().startswith(">>>") and width(line) == indent

    # ----------------------------------------------------------------------- Titles

    def _title(self, line: str) -> bool:
        after = self._line(self._at + 1)
        run = _RUN.fullmatch(line)
        if run:
            return self._overlined(line, after) or self._transition(line, after)
        underline = _RUN.fullmatch(after)
        if underline is None or line[0] in " \t" or _NO_TITLE.match(line):
            return False
        if not _is_long_enough(after, line):
            return False
        self._begin(line, (underline[1], False), 2)
        return True

    def _overlined(self, line: str, title: str) -> bool:
        below = self._line(self._at + 2)
        is_framed = below.rstrip() == line.rstrip() and title.strip() and not _RUN.fullmatch(title)
        if not is_framed or not _is_long_enough(line, title):
            return False
        self._begin(title, (line[0], True), 3)
        return True

    def _transition(self, line: str, after: str) -> bool:
        if len(line.rstrip()) < FEWEST_MARKS or after.strip():
            return False
        return self._drop_lines("rules", self._at + 1)

    def _begin(self, title: str, style: tuple[str, bool], count: int) -> None:
        if style not in self._styles:
            self._styles.append(style)
        level = self._styles.index(style) + 1
        numbers = self._filled(self._at, self._at + count)
        text = markup.without_marks(self._inline(title.strip()))
        self._out.heading(level, text, numbers, self._taken_anchor(), markup.title_names(title))
        self._at += count

    def _taken_anchor(self) -> str:
        anchor, self._anchor = self._anchor, ""
        return anchor

    def _line(self, at: int) -> str:
        return self._lines[at] if at < len(self._lines) else ""

    # ----------------------------------------------------------------------- Explicit markup

    def _explicit(self, line: str, indent: int) -> bool:
        directive = _DIRECTIVE.fullmatch(line)
        if directive:
            return self._directive(self._read_head(directive, indent))
        footnote = _FOOTNOTE.fullmatch(line)
        if footnote:
            self._text(f"{footnote[1]} {footnote[2]}")
            return True
        return (
            self._definition_of_link(line)
            or self._substitution(line, indent)
            or (self._comment(line, indent))
        )

    def _definition_of_link(self, line: str) -> bool:
        target = _TARGET.fullmatch(line)
        if target is None:
            return False
        if not target["address"] and target["name"]:
            self._anchor = target["name"].strip("`").lower().replace(" ", "-").replace("_", "-")
        return self._drop_lines("link targets", self._at + 1)

    def _substitution(self, line: str, indent: int) -> bool:
        found = _SUBSTITUTION.fullmatch(line)
        if found is None:
            return False
        if found["kind"] == "replace":
            self._substitutions[found["name"]] = found["text"]
        return self._drop_lines("substitutions", self._block_end(self._at + 1, indent))

    def _comment(self, line: str, indent: int) -> bool:
        if line != ".." and not line.startswith(".. "):
            return False
        is_empty = line == ".." and not self._line(self._at + 1).strip()
        end = self._at + 1 if is_empty else self._block_end(self._at + 1, indent)
        return self._drop_lines("comments", end)

    # ----------------------------------------------------------------------- Directives

    def _read_head(self, found: re.Match[str], indent: int) -> _Directive:
        """Return the directive of the current line with its arguments and options."""
        first = (found["argument"] or "").strip()
        arguments = [first] if first else []
        end = self._block_end(self._at + 1, indent)
        at = self._at + 1
        while at < end and self._lines[at].strip() and not _OPTION.fullmatch(self._lines[at]):
            arguments.append(self._lines[at].strip())
            at += 1
        options = at
        while at < end and self._lines[at].strip() and _OPTION.fullmatch(self._lines[at]):
            at += 1
        return _Directive(found["name"].lower(), first, arguments, indent, at, end, options)

    def _directive(self, directive: _Directive) -> bool:
        name = directive.name.rsplit(":", 1)[-1]
        if name.startswith(markup.GENERATED) and name != "autosummary":
            return self._drop_lines(name, directive.end)
        return self._handlers.get(name, self._other)(directive, name)

    def _leave_out(self, directive: _Directive, name: str) -> bool:
        return self._drop_lines(markup.LEFT_OUT.get(name, markup.SETTINGS), directive.end)

    def _set_module(self, directive: _Directive, name: str) -> bool:
        module = "".join(directive.arguments[:1])
        self._module = "" if module == "None" else module
        if name == "module":
            self._out.define([module])
            self._anchor = self._anchor or f"module-{module}"
        return self._drop_lines(markup.SETTINGS, directive.end)

    def _code_directive(self, directive: _Directive, name: str) -> bool:
        language = markup.CODE[name] or directive.inline.partition(" ")[0]
        if name not in markup.CODE_FROM_FIRST_LINE:
            return self._code(self._at, directive.content, directive.end, language)
        content = self._lines[directive.content : directive.end]
        self._out.code(
            [*directive.arguments, *dedent(content)],
            self._filled(self._at, directive.end),
            language,
        )
        self._at = directive.end
        return True

    def _admonition(self, directive: _Directive, name: str) -> bool:
        return self._note(directive, markup.TEXTUAL[name], directive.inline)

    def _version(self, directive: _Directive, name: str) -> bool:
        words, slots = directive.inline.split(), markup.VERSIONS[name].count("{}")
        given = [*words[:slots], *[""] * slots][:slots]
        bold = markup.VERSIONS[name].format(*given).removesuffix(", removed in ").strip()
        return self._note(directive, bold, " ".join(words[slots:]))

    def _note(self, directive: _Directive, bold: str, text: str) -> bool:
        """Begin a paragraph with a bold name, and read the content as its continuation."""
        self._text(f"**{bold}**: {text}" if text else f"**{bold}**:")
        if not text:
            self._at = self._next_filled(self._at, directive.end)
        self._enter(directive, self._at, level=0)
        return True

    def _summary(self, directive: _Directive, name: str) -> bool:
        del name
        self._drop_lines(markup.SETTINGS, directive.content)
        for at in range(directive.content, directive.end):
            if self._lines[at].strip():
                self._out.text(f"- `{self._lines[at].strip()}`", self._numbers[at])
        self._out.blank()
        self._at = directive.end
        return True

    def _other(self, directive: _Directive, name: str) -> bool:
        """Read any other directive: its argument is bold text, its content is read as usual."""
        if name in markup.IMAGES or not directive.inline or name in markup.UNTITLED:
            self._drop_lines("images" if name in markup.IMAGES else "layout", self._at + 1)
        else:
            bold = f"**{self._inline(directive.inline)}**"
            self._out.add_text(bold, [self._numbers[self._at]])
            self._at += 1
        if directive.options == self._at:
            self._drop_lines("layout", directive.content)
        self._enter(directive, self._at, level=0)
        return True

    def _enter(self, directive: _Directive, start: int, level: int) -> None:
        """Read the content of a directive next, as content of it."""
        self._at = start
        first = self._next_filled(start, directive.end)
        if first < directive.end:
            self._contexts.append(_Context(width(self._lines[first]), level))
        elif level:
            self._contexts.append(_Context(directive.indent + 1, level))

    # ----------------------------------------------------------------------- Definitions

    def _define(self, directive: _Directive, name: str) -> bool:
        """Begin a section for what a directive defines."""
        signatures = markup.joined(directive.arguments)
        if not signatures:
            return self._other(directive, name)
        depth = sum(1 for context in self._contexts if context.level)
        numbers = self._filled(self._at, directive.options)
        names = [each for signature in signatures for each in markup.defined(signature, name)]
        names = self._qualified(names, name, depth)
        title = markup.signature_title(signatures[0], names[0] if names else "")
        anchor = names[0] if names else ""
        self._out.heading(
            LEVEL_OF_DEFINITIONS + depth, title, numbers, anchor, [*dict.fromkeys(names)]
        )
        if len(signatures) > 1 or signatures[0] not in title:
            self._out.add_text("\n".join(f"`{each}`" for each in signatures), numbers)
        self._at = directive.options
        self._drop_lines(markup.SETTINGS, directive.content)
        self._enter(directive, directive.content, LEVEL_OF_DEFINITIONS + depth)
        return True

    def _qualified(self, names: list[str], kind: str, depth: int) -> list[str]:
        """Return names with the class or the module around them in front."""
        self._classes = [each for each in self._classes if each[0] < depth]
        around = self._classes[-1][1] if self._classes else self._module
        full = list[str]()
        for name in names:
            is_whole = (
                not around
                or name.startswith((f"{around}.", "-"))
                or ("." in name and not self._classes)
            )
            full += [name] if is_whole else [f"{around}.{name}", name]
        if kind in {"class", "exception"} and full:
            self._classes.append((depth, full[0]))
        return full

    # ----------------------------------------------------------------------- Inline markup

    def _inline(self, text: str) -> str:
        if "|" in text and self._substitutions:
            text = _SUBSTITUTED.sub(lambda found: self._substitutions.get(found[1], found[0]), text)
        return markup.inline(text)


_SUBSTITUTED = re.compile(r"\|([^|\s][^|]*)\|")


def _dedented(lines: list[str]) -> str:
    """Return a paragraph without the indentation of a block quote; list items keep theirs."""
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    if not indent or _ITEM.match(lines[0].lstrip()):
        return "\n".join(lines)
    return "\n".join(line[indent:] for line in lines)


def _is_long_enough(run: str, title: str) -> bool:
    length = len(run.rstrip())
    return length >= len(title.strip()) or length >= FEWEST_MARKS
