"""Rendered pages, notebooks and AsciiDoc: what a reader of the documentation needs is kept."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from context7_fabric.docsets.reading.html_pages import MARKUP, NAVIGATION, OUTSIDE
from context7_fabric.docsets.reading.notebooks import (
    LONGEST_OUTPUT,
    MAGIC,
    OUTPUTS,
    RAW,
    UNREADABLE,
)
from support.reading_documents import only, read, text_of

PAGE = """<html><head><title>Valves — Quay</title></head><body>
<nav><a href="/">Home</a></nav>
<main>
<h1 id="valves">Valves<a class="headerlink" href="#valves">¶</a></h1>
<p>A <code>Valve</code> opens &amp; closes
<em>slowly</em>.</p>
<div class="highlight-python notranslate"><pre><span class="k">from</span> quay
if 1 &lt; 2:
    pass</pre></div>
</main>
<footer>Built by hand</footer>
</body></html>
"""


def test_page_keeps_the_main_part_with_its_code_and_its_anchor() -> None:
    reading = read(PAGE, "valves.html")
    snippet = only(reading)
    assert (snippet.title, snippet.anchor, snippet.language) == ("Valves", "valves", "python")
    assert snippet.text == (
        "A `Valve` opens & closes slowly.\n\n```python\nfrom quay\nif 1 < 2:\n    pass\n```"
    )
    assert reading.left_out == {NAVIGATION: 2, OUTSIDE: 1, MARKUP: 3}


def test_page_without_a_heading_is_called_by_its_title() -> None:
    assert only(read("<title>Valves | Quay docs</title>\n<p>text", "a.html")).title == "Valves"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<ul><li>a<ol><li>b</ol><li><p>c</p><p>d</p></ul>", "- a\n  1. b\n- c\n  d"),
        (
            "<table><tr><th>a<th>b<tr><td>1<td><code>x</code></table>",
            "| a | b |\n| --- | --- |\n| 1 | `x` |",
        ),
        ("<dl><dt>term<dd>meaning</dl>", "**term**\nmeaning"),
        ("<p>a<br>b<script>c</script><p hidden>d", "a b"),
        ("<pre>  a\n    b</pre>", "```\na\n  b\n```"),
        ("<pre><code class='language-js'>a\n</code></pre>", "```js\na\n```"),
        ("<p>a <kbd>b</kbd> <a href='x'>c</a>", "a `b` c"),
    ],
)
def test_page_becomes_markdown(page: str, text: str) -> None:
    assert text_of(page, "a.html") == text


def test_page_of_sphinx_has_a_section_for_each_definition() -> None:
    before, ship, moor, after = (f"{word} " * 80 for word in ("before", "ship", "moor", "after"))
    page = (
        f"<main><h1>quay</h1><p>{before}</p><dl class='py class'>"
        "<dt class='sig sig-object py' id='quay.Ship'><b>class</b> quay.Ship<a class='headerlink'>"
        f"¶</a></dt><dd><p>{ship}</p><dl class='py method'><dt class='sig' id='quay.Ship.moor'>"
        f"moor(line)</dt><dd><p>{moor}</p></dd></dl></dd></dl><p>{after}</p></main>"
    )
    found = read(page, "api.html").snippets
    assert [(each.title, each.text.split()[0]) for each in found] == [
        ("quay", "before"),
        ("quay > class quay.Ship", "ship"),
        ("quay > class quay.Ship > moor(line)", "moor"),
        ("quay", "after"),
    ]
    assert (found[2].anchor, found[2].names) == ("quay.Ship.moor", ("quay.Ship.moor",))


WORDS = st.lists(st.sampled_from(["alpha", "beta", "1 < 2", "a & b", "_of_", "C#"]), min_size=1)
TEXT = WORDS.map(" ".join)
CODE = st.lists(
    st.sampled_from(["x = 1", "", "  deep", "# no heading", "<b>&amp;</b>"]), min_size=1
)
PARTS = st.one_of(
    st.builds("{} {}".format, st.sampled_from(["#", "##", "####"]), TEXT),
    TEXT,
    st.builds("```py\n{}\n```".format, CODE.map("\n".join)),
    st.lists(TEXT, min_size=1, max_size=3).map(lambda items: "\n".join(f"- {i}" for i in items)),
)


@settings(deadline=None)
@given(st.lists(PARTS, max_size=6).map("\n\n".join))
def test_page_that_markdown_was_rendered_to_says_what_the_markdown_says(text: str) -> None:
    page = MarkdownIt("commonmark").render(text)
    shown = [each.text for each in read(page, "a.html").snippets]
    written = [each.text for each in read(text, "a.md").snippets]
    assert words_of(shown) == words_of(written)


def words_of(texts: list[str]) -> list[str]:
    return re.findall(r"[a-z0-9]+", re.sub(r"\b_|_\b", "", " ".join(texts)).lower())


# --------------------------------------------------------------------------- Notebooks


def notebook(*cells: dict[str, object], language: str = "python") -> str:
    return json.dumps({"cells": cells, "metadata": {"language_info": {"name": language}}})


def code(source: str, *outputs: dict[str, object]) -> dict[str, object]:
    return {"cell_type": "code", "source": source.splitlines(keepends=True), "outputs": outputs}


def text_cell(source: str) -> dict[str, object]:
    return {"cell_type": "markdown", "source": source}


def test_notebook_keeps_texts_code_and_short_outputs() -> None:
    book = notebook(
        text_cell("# Tides\n\nHow high."),
        code("%pip install quay\nimport quay\nquay.tide()", {"data": {"text/plain": ["4.2"]}}),
        language="julia",
    )
    reading = read(book, "tides.ipynb")
    assert only(reading).title == "Tides"
    assert only(reading).text == (
        "How high.\n\n```julia\nimport quay\nquay.tide()\n```\n\n```text\n4.2\n```"
    )
    assert reading.left_out == {MAGIC: 1}


@pytest.mark.parametrize(
    "output",
    [
        {"data": {"image/png": "iVBORw", "text/plain": "<Figure>"}},
        {"data": {"text/plain": "x" * (LONGEST_OUTPUT + 1)}},
        {"output_type": "stream", "name": "stderr", "text": "a warning"},
        {"output_type": "error", "traceback": ["Traceback\n", "ValueError"]},
    ],
)
def test_notebook_leaves_out_long_rich_and_failed_outputs(output: dict[str, object]) -> None:
    reading = read(notebook(code("x", output)), "a.ipynb")
    assert only(reading).text == "```python\nx\n```"
    assert set(reading.left_out) == {OUTPUTS}


def test_notebook_ends_an_unclosed_fence_with_its_cell() -> None:
    book = notebook(text_cell("# One\n\n```py\nopen"), text_cell("## Two\n\ntext"))
    assert "#### Two" in only(read(book, "a.ipynb")).text


def test_notebook_of_format_3_is_read() -> None:
    cells = [
        {"cell_type": "heading", "level": 1, "source": "Old"},
        {"cell_type": "code", "input": "x", "outputs": []},
        {"cell_type": "raw", "source": "left out"},
    ]
    reading = read(json.dumps({"worksheets": [{"cells": cells}]}), "a.ipynb")
    assert (only(reading).title, reading.left_out) == ("Old", {RAW: 1})


@pytest.mark.parametrize(
    "text", ["not JSON", "[]", "{}", '{"cells": 1}', '{"cells": ["x"]}', "[" * 100_000, '{"a":']
)
def test_notebook_that_is_none_is_left_out(text: str) -> None:
    reading = read(text, "a.ipynb")
    assert (reading.snippets, reading.left_out) == ((), {UNREADABLE: 1})


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["cells", "source", "outputs", "data", "text/plain", "cell_type"]),
            inner | st.sampled_from(["code", "markdown"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.lists(JSON, max_size=4))
def test_notebook_of_any_cells_has_every_line_in_a_snippet_or_counted(cells: list[object]) -> None:
    reading = read(json.dumps({"cells": cells}), "a.ipynb")
    assert reading.kept + sum(reading.left_out.values()) == reading.lines


# --------------------------------------------------------------------------- AsciiDoc

GUIDE = """= Quay guide
:product: Quay

{product} moors `ships`; see link:https://quay.example[the site] and <<start,the start>>.

[[start]]
== Start here

.Moor a ship
[source,java]
----
Quay.moor(ship); // <1>
== no heading
----
<1> With a line.

* one
** two
Line:: holds a ship
"""


def test_asciidoc_keeps_headings_code_lists_and_terms() -> None:
    snippet = only(read(GUIDE, "guide.adoc"))
    assert (snippet.title, snippet.language) == ("Quay guide > Start here", "java")
    assert snippet.text == (
        "Quay moors `ships`; see the site and the start.\n\n"
        "#### Start here\n\n"
        "**Moor a ship**\n\n"
        "```java\nQuay.moor(ship); // <1>\n== no heading\n```\n\n"
        "1. With a line.\n\n"
        "- one\n  - two\n**Line**: holds a ship"
    )


def test_asciidoc_uses_the_id_before_a_heading_as_its_anchor() -> None:
    text = "= Guide\n\n[#own-id]\n== First\n\ntext\n"
    assert only(read(text, "a.adoc")).anchor == "own-id"


@pytest.mark.parametrize(
    ("directive", "text"),
    [
        ("include::part.adoc[]", "#### Part\n\nall of it\nregion"),
        ("include::part.adoc[tag=x]", "region"),
        ("include::part.adoc[leveloffset=+1]", "##### Part\n\nall of it\nregion"),
        ("----\ninclude::part.adoc[tags=x]\n----", "```\nregion\n```"),
        ("before\n\ninclude::gone.adoc[]", "before"),
    ],
)
def test_asciidoc_includes_files_and_their_regions(directive: str, text: str) -> None:
    files = {"part.adoc": "= Part\n\nall of it\n// tag::x[]\nregion\n// end::x[]\n"}
    shown = only(read(f"= Guide\n\nlead\n\n{directive}\n", "guide.adoc", files))
    body = shown.text.removeprefix("lead\n\n")
    assert re.sub(r"^#+ ", "#### ", body) == re.sub(r"^#+ ", "#### ", text)
