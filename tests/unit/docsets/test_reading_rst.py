"""reStructuredText into snippets, form by form."""

from __future__ import annotations

import pytest

from support.reading_documents import only, read, text_of

PAGE = "docs/page.rst"
PROSE = "Words that fill a section. " * 20

FUNCTIONS = f"""\
:mod:`shutil` --- File operations
=================================

.. module:: shutil

{PROSE}

.. function:: copy(src, dst, *, follow=True)

   {PROSE}

   .. versionadded:: 3.3

.. class:: Walker(top)

   {PROSE}

   .. method:: next()

      {PROSE}

Text after. {PROSE}
"""


def test_definitions_are_sections_under_their_full_names() -> None:
    snippets = read(FUNCTIONS, PAGE).snippets
    assert [(each.title.split(" > ")[1:], each.names) for each in snippets] == [
        ([], ("shutil",)),
        (["shutil.copy(src, dst, *, follow=True)"], ("shutil.copy", "copy")),
        (["shutil.Walker(top)"], ("shutil.Walker", "Walker")),
        (["shutil.Walker(top)", "shutil.Walker.next()"], ("shutil.Walker.next", "next")),
        ([], ()),
    ]
    assert snippets[1].anchor == "shutil.copy"
    assert snippets[1].text.endswith("**Added in version 3.3**")


def test_levels_follow_the_order_of_first_appearance() -> None:
    parts = ["===\nTop\n===", "One\n---", "Deep\n~~~~", "Two\n---"]
    reading = read("\n\n".join(f"{part}\n\n{PROSE}" for part in parts), PAGE)
    titles = [each.title for each in reading.snippets]
    assert titles == ["Top", "Top > One", "Top > One > Deep", "Top > Two"]


@pytest.mark.parametrize(
    ("signature", "names"),
    [
        (".. function:: os.open(path)", ("os.open",)),
        (".. class:: Path", ("Path",)),
        (".. c:function:: int PyList_Append(PyObject *list)", ("PyList_Append",)),
        (".. c:type:: PyObject", ("PyObject",)),
        (".. attribute:: it.value", ("it.value",)),
        (".. cmdoption:: -m <module>, --module", ("-m", "--module")),
        (".. function:: one()\n              two()", ("one", "two")),
        (".. decorator:: cached(size)", ("cached",)),
    ],
)
def test_names_are_those_of_the_signature(signature: str, names: tuple[str, ...]) -> None:
    assert only(read(f"{signature}\n\n   Text.", PAGE)).names == names


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Text::\n\n   code\n     more\n\nAfter.", "Text:\n\n```\ncode\n  more\n```\n\nAfter."),
        ("::\n\n   code", "```\ncode\n```"),
        (".. code-block:: js\n   :linenos:\n\n   a()\n", "```js\na()\n```"),
        (">>> 1 + 1\n2\n\n>>> 3\n3\n\nText.", "```pycon\n>>> 1 + 1\n2\n\n>>> 3\n3\n```\n\nText."),
        (".. note:: Text\n   more.", "**Note**: Text\nmore."),
        (".. note::\n\n   Text.", "**Note**: Text."),
        (".. warning::\n   Text.", "**Warning**: Text."),
        (".. seealso::\n\n   Text.\n\nAfter.", "**See also**: Text.\n\nAfter."),
        (".. versionchanged:: 3.1\n   Text.", "**Changed in version 3.1**: Text."),
        (".. deprecated-removed:: 3.1 3.3", "**Deprecated since version 3.1, removed in 3.3**"),
        (".. admonition:: Own title\n\n   Text.", "**Own title**\n\nText."),
        (".. unknown:: argument\n   :key: value\n\n   Text.", "**argument**\n\nText."),
        (".. autosummary::\n\n   one\n   two", "- `one`\n- `two`"),
        (":func:`open` and :meth:`~a.b`", "`open` and `a.b`"),
        (":ref:`the text <label>`, :pep:`8`", "the text, PEP 8"),
        ("``code`` and `link <http://a>`_", "`code` and [link](http://a)"),
        (":math:`x^2`", "$x^2$"),
        ("a\\ b \\*c\\*", "ab *c*"),
        (".. |s| replace:: text\n\nThe |s|.", "The text."),
        (
            "Text.\n\n:param int x: The x.\n:returns: y",
            "Text.\n\n- **x** (int): The x.\n- **Returns**: y",
        ),
        ("Text.\n\n   A quote.", "Text.\n\nA quote."),
    ],
)
def test_markup_is_markdown(text: str, shown: str) -> None:
    assert text_of(text, PAGE) == shown


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (".. toctree::\n   :maxdepth: 1\n\n   a\n   b", "tables of contents"),
        (".. contents:: Here", "tables of contents"),
        (".. automodule:: m\n   :members:", "automodule"),
        (".. index::\n   single: a", "settings of the page"),
        (".. a comment\n   of two lines", "comments"),
        (".. _label:", "link targets"),
        (".. image:: a.png\n   :alt: A", "images"),
        (".. raw:: html\n\n   <b>", "raw markup"),
        ("------", "rules"),
    ],
)
def test_what_is_left_out_is_counted_by_its_kind(text: str, kind: str) -> None:
    reading = read(f"Before.\n\n{text}\n\nAfter.\n", PAGE)
    assert reading.left_out[kind] >= 1
    assert sum(reading.left_out.values()) == len([each for each in text.split("\n") if each])


def test_label_is_the_anchor_of_the_next_title() -> None:
    assert only(read(".. _my-label:\n\nTitle\n=====\n\nText.", PAGE)).anchor == "my-label"


def test_text_file_with_directives_is_read_as_restructuredtext() -> None:
    assert text_of(".. note:: Text.", "docs/page.txt") == "**Note**: Text."
