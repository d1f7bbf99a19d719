"""Tags, components, properties and admonitions in Markdown: what of them is text for a reader."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

_ATTRIBUTES = r"(?:[^<>\"'{}]|\"[^\"]*+\"|'[^']*+'|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*+\})*+\})*+\})*+"
_TAG = re.compile(rf"<(?P<slash>/?)(?P<name>[A-Za-z][\w.:-]*+)(?P<rest>{_ATTRIBUTES})>|</?>")
_CODE_OR_TAG = re.compile(rf"(?P<code>(`++)(?!`).*?(?<!`)\2(?!`))|{_TAG.pattern}")
_OPENS = re.compile(r"<([A-Za-z][\w.:-]*)(?=[\s/>]|$)")

_HTML = re.compile(
    "a|abbr|address|article|aside|audio|b|bdi|bdo|big|blockquote|body|br|button|canvas|caption"
    "|center|circle|cite|code|col|colgroup|dd|del|details|dfn|dialog|div|dl|dt|em|embed|fieldset"
    "|figcaption|figure|font|footer|form|g|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|kbd"
    "|label|legend|li|line|link|main|map|mark|menu|meta|nav|noscript|object|ol|optgroup|option|p"
    "|param|path|picture|pre|q|rect|s|samp|script|section|select|small|source|span|strike|strong"
    "|style|sub|summary|sup|svg|table|tbody|td|template|textarea|tfoot|th|thead|time|title|tr"
    "|track|tt|u|ul|var|video|wbr"
)
_VOID = re.compile("area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr")
HIDDEN = frozenset({"script", "style", "svg"})
"""Tags whose content is not for readers."""

_INLINE = {"code": "`", "kbd": "`", "b": "**", "strong": "**", "summary": "**", "br": " "}
_CLOSING = {"td": " | ", "th": " | ", "br": " "}
_ADMONITIONS = {
    name: name for name in ("Note", "Tip", "Warning", "Info", "Caution", "Danger", "Check")
}
_FIELDS = {"ParamField", "ResponseField", "Param", "Property", "APIField", "PropertyField"}
_VALUE = r"""\s*=\s*\{?\s*(?:"([^"]*+)"|'([^']*+)'|`([^`]*+)`)"""
_BOLD = [
    re.compile(rf"(?<![\w-]){name}{_VALUE}") for name in ("title", "label", "summary", "value")
]
_PLAIN = re.compile(rf"(?<![\w-])(?:description|caption|alt){_VALUE}")
_KEPT = re.compile(rf"(?<![\w-])(?:title|label|summary|value|description|caption|alt){_VALUE}")
_FIELD_NAME = re.compile(rf"(?<![\w-])(?:name|body|path|query|header){_VALUE}")
_FIELD_TYPE = re.compile(rf"(?<![\w-])type{_VALUE}")
_FIELD_DEFAULT = re.compile(rf"(?<![\w-])default{_VALUE}")
LONGEST_LINE = 20_000
MOST_WORK = 200_000
"""Characters of a line, and those times its tags, above which tags stay: it is data, not prose."""


def _is_long(line: str) -> bool:
    return len(line) > LONGEST_LINE or len(line) * line.count("<") > MOST_WORK


def text_of(line: str) -> str:
    """Return a line without its tags, code spans untouched; their labels stay as bold text."""
    if "<" not in line or _is_long(line):
        return line
    return _CODE_OR_TAG.sub(_replacement, line)


def _replacement(found: re.Match[str]) -> str:
    if found["code"]:
        return found[0]
    name = found["name"]
    if name is None:
        return ""
    if not is_known(name):
        return found[0]
    if found["slash"]:
        return _CLOSING.get(name, _INLINE.get(name, ""))
    return _INLINE.get(name) or labels(name, found["rest"])


def is_known(name: str) -> bool:
    """Return whether `name` is a tag of HTML or a component; `<name>` may be a placeholder."""
    return (
        _HTML.fullmatch(name) is not None or name[0].isupper() or ("-" in name and name.islower())
    )


def labels(name: str, attributes: str) -> str:
    """Return what the attributes of a tag hold for a reader, in Markdown."""
    if name in _FIELDS:
        return _field(attributes)
    if _HTML.fullmatch(name):
        return _first(_PLAIN, attributes) if name == "img" else ""
    bold = next((text for each in _BOLD if (text := _first(each, attributes))), "")
    admonition = _ADMONITIONS.get(name, "")
    head = ": ".join(each for each in (admonition, bold) if each)
    plain = _first(_PLAIN, attributes)
    return " ".join(each for each in (f"**{head}**" if head else "", plain) if each)


def _field(attributes: str) -> str:
    name, kind = _first(_FIELD_NAME, attributes), _first(_FIELD_TYPE, attributes)
    default = _first(_FIELD_DEFAULT, attributes)
    facts = [kind, "required" if re.search(r"(?<![\w-])required\b", attributes) else ""]
    facts.append(f"default {default}" if default else "")
    noted = ", ".join(each for each in facts if each)
    return f"- **`{name}`**" + (f" ({noted})" if noted else "") if name else ""


def field_names(line: str) -> list[str]:
    """Return the names that `<ParamField>` and the like in a line define."""
    if _is_long(line):
        return []
    return [
        name
        for tag in _TAG.finditer(line)
        if tag["name"] in _FIELDS and (name := _first(_FIELD_NAME, tag["rest"]))
    ]


def _first(pattern: re.Pattern[str], attributes: str) -> str:
    found = pattern.search(attributes)
    return (
        html.unescape(next((each for each in found.groups() if each), "").strip()) if found else ""
    )


def opened(line: str) -> str | None:
    """Return the name of the tag that a line begins with and that does not end on it."""
    stripped = line.lstrip()
    found = _OPENS.match(stripped)
    if found is None or not is_known(found[1]):
        return None
    return None if _TAG.match(stripped) else found[1]


def depth_change(line: str) -> int:
    """Return by how many levels the tags of a line open or close elements."""
    change = 0
    if _is_long(line):
        return change
    for tag in _TAG.finditer(line):
        name, rest = tag["name"], tag["rest"]
        if name and is_known(name) and not _VOID.fullmatch(name) and not rest.endswith("/"):
            change += -1 if tag["slash"] else 1
    return change


# --------------------------------------------------------------------------- Tags over many lines


class Brackets:
    """Follower of brackets and strings through the lines of a tag or a statement."""

    def __init__(self, *, is_tag: bool) -> None:
        self.depth = 0
        self._quote = ""
        self._is_tag = is_tag

    def end(self, line: str) -> int | None:
        """Return the column after the `>` that ends the tag, if it is on this line."""
        for mark in _MARKS.finditer(line):
            if self._ends(mark[0], line, mark.start()):
                return mark.end()
        if self._quote in ("'", '"') and not self._is_tag:
            self._quote = ""
        return None

    def _ends(self, mark: str, line: str, at: int) -> bool:
        if self._quote:
            self._quote = "" if mark == self._quote else self._quote
        elif mark in "\"'`":
            self._quote = "" if mark == "'" and line[at - 1 : at].isalnum() else mark
        elif mark in "{[(":
            self.depth += 1
        elif mark in "}])":
            self.depth = max(0, self.depth - 1)
        else:
            return self._is_tag and not self.depth and line[at - 1 : at] != "="
        return False

    @property
    def is_open(self) -> bool:
        """State of being inside of brackets or of a template string."""
        return self.depth > 0 or self._quote == "`"


_MARKS = re.compile(r"""\\.|["'`{}\[\]()>]""")


class Spans:
    """Search for the ends of tags and statements, with a bound on what failing ones may read."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._left = 4 * sum(map(len, lines)) + 1_000

    def tag_end(self, start: int) -> int | None:
        """Return the line on which the tag that begins on line `start` ends; None if nowhere."""
        brackets = Brackets(is_tag=True)
        for at in range(start, len(self._lines)):
            line = self._lines[at]
            if brackets.end(line) is not None:
                return at
            if (not line.strip() and not brackets.is_open) or not self._spend(line):
                return None
        return None

    def statement_end(self, start: int) -> int:
        """Return the line after the statement that begins on line `start`."""
        brackets = Brackets(is_tag=False)
        for at in range(start, len(self._lines)):
            brackets.end(self._lines[at])
            if not brackets.is_open:
                return at + 1
            if not self._spend(self._lines[at]):
                break
        return start + 1

    def _spend(self, line: str) -> bool:
        self._left -= len(line)
        return self._left >= 0


# --------------------------------------------------------------------------- Properties as data

DATA = re.compile(r"=\s*\{\s*[\[{]|=\s*\{\s*$")
_STYLE = re.compile(r"(?:^|[\s<])(?:style|className|sx|css|class)\s*=")
_KEY = re.compile(r"""\s*\{?\s*["']?([\w-]+)["']?\s*:\s*(.*)""")
_HEAD = re.compile(r"^\s*<[A-Z][\w.]*(?=\s|$)|^\s*\w+=(?=\{)")
_QUOTES = tuple("\"'`")
_PLAIN_TAG = re.compile(r"</?(?:a|b|br|code|em|i|li|p|span|strong|ul)(?:\s[^<>]*)?/?>")
"""Tags in a string; any other may be the parameter of a type, as in `Array<Part>`."""
_NO_WORD = re.compile(r"[\W_]*")
_NAMING = {"name", "prop", "attribute", "key"}


def is_property(line: str) -> bool:
    """Return whether a line holds a key and a value."""
    return len(line) <= LONGEST_LINE and _KEY.fullmatch(line) is not None


def data_line(line: str, depth: int = 0) -> str:
    """Return a line of properties as text: `name:` as a list item, other keys as lines.

    `depth` is the level of a property within others.
    """
    if len(line) > LONGEST_LINE:
        return line
    line, indent = _HEAD.sub("", line), "  " * min(depth, DEEPEST_DATA)
    found = _KEY.fullmatch(line)
    if found is None or found[2].lstrip().startswith("//"):
        bare = _literal(line)
        return f"{indent}  {bare}" if bare else ""
    value = _literal(found[2])
    if found[1] in _NAMING:
        return f"{indent}- **{value}**" if value else ""
    return f"{indent}  {found[1]}: {value}" if value else ""


DEEPEST_DATA = 6


def _literal(value: str) -> str:
    """Return a value without quotes, brackets, comma and tags; empty if no word is left."""
    bare = value.strip()
    text = _PLAIN_TAG.sub("", bare) if bare[:1] in _QUOTES else text_of(bare)
    text = text.replace('{" "}', " ").strip().rstrip(",").strip()
    text = text.strip("[]{}()").strip().rstrip(",") if _is_bracketed(text) else text
    if len(text) > 1 and text[0] in _QUOTES and text[-1] == text[0]:
        text = text[1:-1].replace(f"{text[0]}, {text[0]}", ", ")
    return "" if _NO_WORD.fullmatch(text) else text


def _is_bracketed(text: str) -> bool:
    return text[:1] in "[{(" or (text[-1:] in "]})" and text.count("(") != text.count(")"))


def is_style(lines: Sequence[str]) -> bool:
    """Return whether the braces of a tag hold nothing but styles."""
    return all(_STYLE.search(line) for line in lines if DATA.search(line))


def has_label(line: str) -> bool:
    """Return whether a line of a tag holds an attribute that is kept."""
    return _KEPT.search(line) is not None


STATEMENT = re.compile(
    r"import\s+(?:['\"]|[\w*{][^'\"]*\bfrom\s+['\"])|import\s*(?:[\w$]+\s*,\s*)?\{[^}]*$"
    r"|export\s+(?:const|let|var|default|function|async|class|type|interface|\{|\*)(?=[\s{*]|$)"
)
"""Beginning of an `import` or an `export`."""

# --------------------------------------------------------------------------- Admonitions

_INDENTED_ADMONITION = re.compile(
    r"(?:!!!|\?\?\?\+?)[ \t]+(?P<kind>[\w-]+)(?P<words>[^\"]*)(?:\"(?P<title>[^\"]*)\")?\s*"
    r"|===[!+]?[ \t]+\"(?P<tab>[^\"]*)\"\s*"
)
_COLONS = re.compile(
    r":{3,}[ \t]*(?:\{?(?P<kind>[A-Za-z][\w+-]*)\}?)?(?:\[(?P<label>[^\]]*)\])?(?P<title>[^{]*)"
    r"(?:\{.*\})?"
)
_TWO_COLONS = re.compile(
    r"::(?P<kind>[a-z][\w-]*)?(?:\{(?:[^}\"]*title=\"(?P<title>[^\"]*)\")?.*\})?"
)
_SLASHES = re.compile(r"/{3,}[ \t]*(?P<kind>[a-z][\w-]*)?[ \t]*(?:\|[ \t]*(?P<title>.*))?")
_SIDES = {"python": "python", "js": "javascript", "javascript": "javascript", "ts": "typescript"}
_LAYOUT = {
    "code-group",
    "group",
    "tabs",
    "grid",
    "container",
    "raw",
    "steps",
    "cards",
    "row",
    "col",
}
_ALERT = re.compile(r"\[!(\w+)\][+-]?[ \t]*(.*)")


@dataclass(frozen=True, slots=True)
class Container:
    """Line of three colons: `bold` is what it says; a side begins or, with `side` empty, ends."""

    bold: str = ""
    is_side: bool = False
    side: str = ""


def indented_admonition(line: str) -> str | None:
    """Return what `!!! note "Title"`, `??? note` or `=== "Tab"` says; None for another line."""
    found = _INDENTED_ADMONITION.fullmatch(line)
    if found is None:
        return None
    return found["tab"] or _named(found["kind"] or "", found["title"] or found["words"])


def container(line: str) -> Container | None:
    """Return the container that `:::note Title` opens, or that `:::` closes; None for others."""
    if not line.startswith("::"):
        return None
    found = _COLONS.fullmatch(line) or _TWO_COLONS.fullmatch(line)
    if found is None:
        return None
    parts = found.groupdict()
    kind, title = parts["kind"] or "", (parts.get("label") or parts["title"] or "").strip()
    if not title and (kind in _SIDES or not kind):
        return Container(is_side=True, side=_SIDES.get(kind, ""))
    if not title and (kind in _LAYOUT or "-" in kind):
        return Container()
    return Container(_named(kind, title))


def slashed_block(line: str) -> str | None:
    """Return what `/// note | Title` says, empty for the end of a block; None for others."""
    found = _SLASHES.fullmatch(line)
    if found is None:
        return None
    return _named(found["kind"], found["title"]) if found["kind"] else ""


def alert(line: str) -> str | None:
    """Return what `[!NOTE] Title` at the beginning of a quote says; None for another line."""
    found = _ALERT.fullmatch(line)
    return _named(found[1].lower(), found[2]) if found else None


def _named(kind: str, title: str | None) -> str:
    """Return the bold line for an admonition: its title, or its kind."""
    title = (title or "").strip()
    if not kind or kind in {"details", "tab", "dropdown", "collapse"}:
        return title or "Details"
    name = kind.replace("-", " ").capitalize()
    return f"{name}: {title}" if title else name
