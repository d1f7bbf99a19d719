"""Headings as the parsers of the markup languages find them: markdown-it-py and docutils."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from docutils import nodes
from docutils.core import publish_doctree
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from context7_fabric.docsets.reading.markdown import MarkdownReader
from context7_fabric.docsets.reading.outline import Outline
from context7_fabric.docsets.reading.rst import RstReader

Heading = tuple[int, str]


class Headings(Outline):
    """Outline that also keeps the headings with their levels."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Heading] = []

    def heading(
        self,
        level: int,
        title: str,
        lines: Sequence[int],
        anchor: str = "",
        names: Iterable[str] = (),
    ) -> None:
        self.found.append((level, title))
        super().heading(level, title, lines, anchor, names)


def headings_of(reader: type[MarkdownReader | RstReader], text: str) -> list[Heading]:
    lines, outline = text.split("\n"), Headings()
    reader(lines, range(len(lines)), outline).read()
    return outline.found


def markdown_it(text: str) -> list[Heading]:
    tokens = MarkdownIt("commonmark").parse(text)
    return [
        (int(token.tag[1]), tokens[at + 1].content)
        for at, token in enumerate(tokens)
        if token.type == "heading_open"
    ]


SETTINGS = {"report_level": 5, "halt_level": 6, "_disable_config": True, "doctitle_xform": False}


def docutils(text: str) -> list[Heading]:
    tree = publish_doctree(text, settings_overrides=SETTINGS)
    return [(depth(title), title.astext()) for title in tree.findall(nodes.title)]


def depth(title: nodes.title) -> int:
    above, count = title.parent, 0
    while above is not None:
        count += isinstance(above, nodes.section)
        above = above.parent
    return count


WORDS = st.lists(st.sampled_from(["alpha", "beta", "Gamma", "of", "3", "C#"]), min_size=1).map(
    " ".join
)
PROSE = st.lists(WORDS, min_size=1, max_size=3).map("\n".join)
CODE = st.sampled_from(
    ["# comment", "x = 1", "", "---", "===", "- a", "> b", "  ## deep", "`` ` ``"]
)
CODES = st.lists(CODE, max_size=4).map("\n".join)
FENCES = st.sampled_from(["```", "~~~", "````", "~~~~~"])
MARKDOWN = st.lists(
    st.one_of(
        st.builds("{} {}".format, st.sampled_from(["#", "##", "###", "######"]), WORDS),
        st.builds("{} {} ##".format, st.sampled_from(["#", "##"]), WORDS),
        st.builds("{}\n{}".format, WORDS, st.sampled_from(["===", "---", "-", "=", "--------"])),
        st.builds("{0}{2}\n{1}\n{0}".format, FENCES, CODES, st.sampled_from(["", "js", " py x"])),
        st.builds("- {}\n- {}".format, WORDS, WORDS),
        st.builds("1. {}\n\n   {}".format, WORDS, WORDS),
        st.builds("> {}".format, WORDS),
        st.builds("<!-- {}\n# gone\n-->".format, WORDS),
        st.sampled_from(["***", "---", "___", "#no-heading", "    # code", "| a | b |\n|---|---|"]),
        PROSE,
    ),
    max_size=8,
).map("\n\n".join)


@settings(deadline=None)
@given(text=MARKDOWN)
def test_markdown_headings_are_those_of_markdown_it(text: str) -> None:
    assert headings_of(MarkdownReader, text) == markdown_it(text)


FIXTURE = """\
Title
=====

A paragraph with `# no heading` in it.

## Second *level*

```sh
# a comment
```

1. One

   ~~~
   ## in a list
   ~~~

2. Two

- item
---

### Third ###

    # indented code

Setext again
---

> quoted

# [Linked](http://a) and `code`
"""


def test_markdown_fixture_has_the_headings_of_markdown_it() -> None:
    expected = [(1, "Title"), (2, "Second level"), (3, "Third"), (2, "Setext again")]
    assert headings_of(MarkdownReader, FIXTURE) == [*expected, (1, "Linked and code")]
    assert [level for level, _ in markdown_it(FIXTURE)] == [1, 2, 3, 2, 1]


STYLES = st.sampled_from("=-~^\"'`+*#:.")
TITLES = st.sampled_from(["Alpha", "Alpha beta", "Gamma of alpha", "Three words here"])


def underlined(title: str, mark: str) -> str:
    return f"{title}\n{mark * len(title)}"


def overlined(title: str, mark: str) -> str:
    return f"{mark * (len(title) + 2)}\n {title}\n{mark * (len(title) + 2)}"


RST = st.lists(
    st.one_of(
        st.builds(underlined, TITLES, STYLES),
        st.builds(overlined, TITLES, STYLES),
        st.builds(".. note:: {}".format, PROSE.map(lambda text: text.replace("\n", "\n   "))),
        st.builds("{}::\n\n   Code\n   ====".format, WORDS),
        st.sampled_from(
            ["* item\n* item", ".. comment\n   more", "text\nof two lines", ">>> 1\n1"]
        ),
    ),
    max_size=8,
).map("\n\n".join)


@settings(deadline=None)
@given(text=RST)
def test_rst_titles_are_those_of_docutils(text: str) -> None:
    ours = [title for _, title in headings_of(RstReader, text)]
    levels = [level for level, _ in headings_of(RstReader, text)]
    theirs = docutils(text)
    if is_consistent(levels):
        assert list(zip(levels, ours, strict=True)) == theirs


def is_consistent(levels: list[int]) -> bool:
    """Return whether no level is skipped, which docutils refuses."""
    return all(level <= before + 1 for before, level in zip([0, *levels], levels, strict=False))


RST_FIXTURE = """\
========
Document
========

.. _label:

Section
-------

Text::

    Not a title
    ===========

Sub
~~~

+-----+
| cell|
+-----+

=====  =====
a      b
=====  =====
1      2
=====  =====

Other
-----

:mod:`module` --- Text
----------------------
"""


def test_rst_fixture_has_the_titles_of_docutils() -> None:
    expected = [(1, "Document"), (2, "Section"), (3, "Sub"), (2, "Other"), (2, "module --- Text")]
    assert headings_of(RstReader, RST_FIXTURE) == expected
    assert [level for level, _ in docutils(RST_FIXTURE.replace(":mod:", ""))] == [1, 2, 3, 2, 2]
