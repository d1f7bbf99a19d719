"""Includes in place of the lines that name them."""

from __future__ import annotations

import pytest

from support.reading_documents import only, read, text_of

FILES = {
    "docs_src/app.py": (
        "import a\n\n\ndef one():\n    return 1\n\n\n@cached\ndef two():\n    return 2"
    ),
    "docs/part.md": "---\ntitle: Part\n---\n\nText of the part.",
    "docs/deep/inner.md": "Inner text.\n\n<!--@include: ../part.md-->",
    "docs/region.ts": "before()\n// #region main\nmain()\n// #endregion main\nafter()",
    "_includes/note.md": "Noted.",
    "snippets/shared.mdx": "Shared text.",
    "docs/part.rst": "Text of *another* part.",
    "docs/only-exports.mdx": "export const a = 1",
}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("{* ../docs_src/app.py ln[4:5] hl[1] *}", "```python\ndef one():\n    return 1\n```"),
        ("{* ../../docs_src/app.py ln[1] *}", "```python\nimport a\n```"),
        ("<!--@include: ./part.md-->", "Text of the part."),
        ("<!--@include: ./part.md{5,5}-->", "Text of the part."),
        ("<<< ./region.ts#main", "```ts\nmain()\n```"),
        ("<<< @/docs/region.ts", f"```ts\n{FILES['docs/region.ts']}\n```"),
        ('--8<-- "docs/part.md"', "Text of the part."),
        ("--8<--\ndocs/part.md\n--8<--", "Text of the part."),
        ("@include part.md", "Text of the part."),
        ('{{% g_include file="part.md" %}}', "Text of the part."),
        ('{{< readfile "part.md" >}}', "Text of the part."),
        ("{% include note.md %}", "Noted."),
        ('{% include-markdown "part.md" %}', "Text of the part."),
        ("[!INCLUDE [x](part.md)]", "Text of the part."),
        ("[!code-python[x](../docs_src/app.py)]", f"```python\n{FILES['docs_src/app.py']}\n```"),
        ('<Snippet file="shared.mdx" />', "Shared text."),
        ("import Part from './part.md'\n\n<Part />", "Text of the part."),
        ("import Shared from '/snippets/shared.mdx'\n\n<Shared x='y' />", "Shared text."),
        ("import Part from '@site/docs/part.md'\n\n<Part/>", "Text of the part."),
        (
            "import Code from '!!raw-loader!../docs_src/app.py'\n\n<CodeBlock>{Code}</CodeBlock>",
            f"```python\n{FILES['docs_src/app.py']}\n```",
        ),
        ("<!--@include: ./deep/inner.md-->", "Inner text.\n\nText of the part."),
        ('```ts\n--8<-- "docs/region.ts"\n```', f"```ts\n{FILES['docs/region.ts']}\n```"),
        ("```md\n<<< @/docs/region.ts\n```", "```md\n<<< @/docs/region.ts\n```"),
        ('```\n--8<-- "unknown.ts"\n```', '```\n--8<-- "unknown.ts"\n```'),
    ],
)
def test_include_in_markdown_is_the_text_of_its_file(line: str, shown: str) -> None:
    assert text_of(line, "docs/page.mdx", FILES) == shown


@pytest.mark.parametrize(
    ("directive", "shown"),
    [
        (".. include:: part.rst", "Text of *another* part."),
        (".. literalinclude:: region.ts\n   :lines: 3", "```ts\nmain()\n```"),
        (
            ".. literalinclude:: region.ts\n   :language: js\n   :lines: 1,5",
            "```js\nbefore()\nafter()\n```",
        ),
        (
            ".. literalinclude:: region.ts\n   :start-after: #region\n   :end-before: #end",
            "```ts\nmain()\n```",
        ),
        (
            ".. literalinclude:: ../docs_src/app.py\n   :pyobject: two",
            "```python\n@cached\ndef two():\n    return 2\n```",
        ),
        (".. note::\n\n   .. include:: part.rst", "**Note**: Text of *another* part."),
    ],
)
def test_include_in_restructuredtext_is_the_text_of_its_file(directive: str, shown: str) -> None:
    assert text_of(directive, "docs/page.rst", FILES) == shown


@pytest.mark.parametrize(
    ("text", "path"),
    [("{* ../gone.py *}", "docs/page.md"), (".. include:: ../gone.py", "docs/page.rst")],
)
def test_include_that_is_not_found_is_left_out_by_name(text: str, path: str) -> None:
    reading = read(f"Before.\n\n{text}\n\nAfter.", path, FILES)
    assert reading.left_out == {"include of ../gone.py": 1}
    assert only(reading).text == "Before.\n\nAfter."


def test_include_that_brings_nothing_is_counted() -> None:
    reading = read("import E from './only-exports.mdx'\n\n<E />\n\nText.", "docs/a.mdx", FILES)
    assert (reading.kept, sum(reading.left_out.values())) == (1, 2)


def test_includes_in_a_circle_end() -> None:
    files = {"docs/a.md": "A.\n\n@include b.md", "docs/b.md": "B.\n\n@include a.md"}
    assert text_of(files["docs/a.md"], "docs/a.md", files) == "A.\n\nB."


def test_includes_are_followed_three_deep() -> None:
    files = {f"docs/{n}.md": f"Text {n}.\n\n@include {n + 1}.md" for n in range(9)}
    assert text_of(files["docs/0.md"], "docs/0.md", files) == "\n\n".join(
        f"Text {n}." for n in range(4)
    )


def test_includes_are_bounded_together() -> None:
    files = {"docs/large.txt": "word\n" * 60_000}
    reading = read("@include large.txt\n\n" * 40, "docs/page.md", files)
    assert sum(len(each.text) for each in reading.snippets) < 1_200_000
    assert reading.left_out["include of large.txt"] == 37
    assert reading.kept == 3
