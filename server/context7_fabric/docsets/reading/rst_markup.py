"""Inline markup, titles and signatures of reStructuredText in Markdown; kinds of directives."""

from __future__ import annotations

import re

from context7_fabric.docsets.reading.outline import CONTENTS

_INLINE = re.compile(
    r"``(?P<literal>.+?)``(?!`)"
    r"|:(?P<role>[\w.+-]+(?::[\w.+-]+)*):`(?P<text>[^`]+)`"
    r"|`(?P<link>[^`<>]+?)\s*<(?P<address>[^<>`]+)>`__?"
    r"|`(?P<reference>[^`]+)`(?P<is_reference>__?)?"
    r"|\\(?P<escaped>[^\w\n])",
    re.DOTALL,
)
_WORDED = re.compile(
    "ref|doc|term|abbr|dfn|guilabel|menuselection|numref|any|download|strong|emphasis|su[bp]"
    "|source|cve|cwe|subscript|superscript|title|title-reference"
)
_PREFIXED = {"pep": "PEP ", "rfc": "RFC ", "issue": "#", "gh": "#", "bpo": "bpo-"}
_WITH_TARGET = re.compile(r"(.+?)\s*<([^<>]+)>", re.DOTALL)
_FIELD = re.compile(
    r"^([ \t]*):(param|parameter|arg|argument|key|keyword|raises?|except|exception|var|ivar|cvar"
    r"|returns?|type|rtype|yields?)(?:[ \t]+([^:\n]+))?:[ \t]*",
    re.MULTILINE,
)
_FIELD_NAMES = {
    "return": "Returns",
    "returns": "Returns",
    "rtype": "Return type",
    "raise": "Raises",
}


def inline(text: str) -> str:
    """Return a paragraph with its inline markup in Markdown: roles, literals, links, fields."""
    if "`" in text or "\\" in text:
        text = _INLINE.sub(_inline_markup, text)
    if ":" in text:
        text = _FIELD.sub(_field, text)
    return text


def _inline_markup(found: re.Match[str]) -> str:
    if found["literal"]:
        return f"`{found['literal']}`"
    if found["role"]:
        return _role(found["role"].rsplit(":", 1)[-1], found["text"])
    if found["escaped"]:
        return found["escaped"].strip()
    if found["address"]:
        return f"[{' '.join(found['link'].split())}]({found['address']})"
    return found["reference"] if found["is_reference"] else f"`{found['reference']}`"


def _role(role: str, text: str) -> str:
    target = _WITH_TARGET.fullmatch(text)
    shown = target[1] if target else text.lstrip("~!")
    if role in _PREFIXED:
        return shown if target else _PREFIXED[role] + shown.partition("#")[0]
    if _WORDED.fullmatch(role):
        return shown
    return f"${text}$" if role == "math" else f"`{' '.join(shown.split())}`"


def _field(found: re.Match[str]) -> str:
    kind, argument = found[2], (found[3] or "").strip()
    named = _FIELD_NAMES.get(kind, kind.capitalize())
    if not argument:
        return f"{found[1]}- **{named}**: "
    if kind.startswith(("par", "arg", "key")):
        *types, name = argument.split()
        return f"{found[1]}- **{name}**" + (f" ({' '.join(types)})" if types else "") + ": "
    return f"{found[1]}- **{named} {argument}**: "


def without_marks(title: str) -> str:
    """Return a title without the marks of code and emphasis."""
    return " ".join(title.replace("`", "").replace("**", "").split())


def title_names(title: str) -> list[str]:
    """Return the name of the module, function or class that a title marks as such."""
    return [each.lstrip("~!") for each in _NAMING_ROLE.findall(title)][:1]


_NAMING_ROLE = re.compile(r":(?:py:|c:)?(?:mod|func|class|meth):`([^`<>]+)`")


# --------------------------------------------------------------------------- Signatures

_OPTIONS = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")
_PYTHON_NAME = re.compile(r"(?:[a-z]+[ \t]+)*?([\w.]+)[ \t]*(?:[(\[:=]|->|$)")
_C_NAME = re.compile(r"([\w.]+)(?:\[[^\]]*\])?[ \t]*(?:\(|$)")


def defined(signature: str, kind: str) -> list[str]:
    """Return the names in a signature."""
    if kind in {"cmdoption", "option", "program"}:
        return _OPTIONS.findall(signature)
    found = _PYTHON_NAME.match(signature) or _C_NAME.search(signature)
    return [found[1].strip(".")] if found and found[1].strip(".") else []


LONGEST_SIGNATURE = 120
"""Characters of a signature that is a title."""


def signature_title(signature: str, name: str) -> str:
    """Return a signature as a title, with its full name; a long one without its parameters."""
    signature = " ".join(signature.replace("\\", "").split())
    if len(signature) > LONGEST_SIGNATURE:
        return f"{name}()" if "(" in signature and name else (name or signature[:LONGEST_SIGNATURE])
    short = name.rpartition(".")[2]
    if not short:
        return signature
    head, found, tail = signature.partition(short)
    is_bare = found and not head.strip() and name.endswith(short)
    return f"{name}{tail}" if is_bare else signature


def joined(arguments: list[str]) -> list[str]:
    """Return signatures, those continued by a backslash joined."""
    whole = list[str]()
    for argument in arguments:
        if whole and whole[-1].endswith("\\"):
            whole[-1] = f"{whole[-1][:-1].rstrip()} {argument}"
        else:
            whole.append(argument)
    return whole


_NOTED = re.compile(r"(\*\*[^*\n]+\*\*):(?:\n(?=[^\s*+|-])|$)")


def merged(text: str) -> str:
    """Return a paragraph with the bold name of a directive and what follows on one line."""
    found = _NOTED.match(text)
    if found is None:
        return text
    rest = text[found.end() :].strip()
    return f"{found[1]}: {rest}" if rest else found[1]


# --------------------------------------------------------------------------- Directives

DEFINING = frozenset(
    [
        "function", "method", "class", "attribute", "data", "exception", "coroutinemethod",
        "coroutinefunction", "decorator", "decoratormethod", "classmethod", "staticmethod",
        "abstractmethod", "awaitablefunction", "awaitablemethod", "member", "macro", "type", "var",
        "enum", "enumerator", "struct", "union", "property", "opcode", "pdbcommand", "cmdoption",
        "option", "envvar", "describe", "object", "confval", "setting", "directive", "role",
    ]
)  # fmt: skip
CODE = {
    "code-block": "", "code": "", "sourcecode": "", "ipython": "python", "doctest": "pycon",
    "testcode": "python", "testoutput": "text", "parsed-literal": "text", "productionlist": "text",
    "math": "math", "plot": "python", "prompt": "", "code-cell": "", "graphviz": "dot",
    "grammar-snippet": "text", "jupyter-execute": "python", "try_examples": "pycon",
}  # fmt: skip
PAGE = frozenset(
    [
        "index", "highlight", "sectionauthor", "moduleauthor", "codeauthor", "tabularcolumns",
        "program", "default-role", "role", "meta", "rst-class", "audit-event", "testsetup",
        "testcleanup", "raw", "limited-api-list", "notebooklite", "inheritance-diagram",
    ]
)  # fmt: skip
SETTINGS = "settings of the page"
LEFT_OUT = {"toctree": CONTENTS, "contents": CONTENTS, "raw": "raw markup"}
GENERATED = ("auto", "doxygen")
"""Prefixes of directives whose text is made from source code, which the document does not hold."""

VERSIONS = {
    "versionadded": "Added in version {}",
    "versionchanged": "Changed in version {}",
    "versionremoved": "Removed in version {}",
    "deprecated": "Deprecated since version {}",
    "deprecated-removed": "Deprecated since version {}, removed in {}",
    "soft-deprecated": "Soft deprecated since version {}",
}
TEXTUAL = {
    "note": "Note", "warning": "Warning", "tip": "Tip", "important": "Important", "hint": "Hint",
    "caution": "Caution", "danger": "Danger", "error": "Error", "attention": "Attention",
    "seealso": "See also", "availability": "Availability", "impl-detail": "Implementation detail",
    "todo": "To do",
}  # fmt: skip
IMAGES = frozenset({"image", "figure"})
CODE_FROM_FIRST_LINE = frozenset({"math", "productionlist", "parsed-literal", "try_examples"})
UNTITLED = frozenset(
    {"only", "ifconfig", "container", "list-table", "grid", "glossary", "cssclass"}
)
