"""Markdown and MDX into snippets, form by form."""

from __future__ import annotations

import pytest

from support.reading_documents import only, read, text_of

PROSE = "Words that fill a section. " * 20


def test_title_is_the_path_of_headings() -> None:
    reading = read(
        f"# Doc\n\n{PROSE}\n\n## Use\n\n{PROSE}\n\n### Deep\n\n{PROSE}\n\n## Next\n\n{PROSE}"
    )
    titles = [each.title for each in reading.snippets]
    assert titles == ["Doc", "Doc > Use", "Doc > Use > Deep", "Doc > Next"]


def test_anchor_is_the_headings_own_id_or_its_slug_and_unique() -> None:
    parts = ["# Doc", "## Use it! {#own}", "## The `x.y()` call", "## Again", "## Again"]
    reading = read("\n\n".join(f"{part}\n\n{PROSE}" for part in parts))
    assert [each.anchor for each in reading.snippets] == [
        "doc",
        "own",
        "the-xy-call",
        "again",
        "again-1",
    ]


def test_front_matter_gives_title_and_description() -> None:
    reading = read(
        "---\ntitle: 'Page'\ntags: [a]\ndescription: >\n  What it\n  is.\n---\n\nText.\n"
    )
    assert (only(reading).title, only(reading).text) == ("Page", "What it is.\n\nText.")
    assert reading.left_out == {"front matter": 3}


def test_front_matter_title_and_first_heading_that_are_equal_are_one() -> None:
    assert only(read("---\ntitle: Page\n---\n\n# Page\n\nText.\n")).title == "Page"


def test_document_without_a_heading_is_named_by_its_file() -> None:
    assert only(read("Text.", "docs/getting-started.md")).title == "getting started"
    assert only(read("Text.", "guides/setup/index.md")).title == "setup"


def test_exported_title_of_mdx_is_kept() -> None:
    reading = read("export const title = 'Padding'\nexport const x = 1\n\nText.", "page.mdx")
    assert only(reading).text == "Padding\n\nText."
    assert reading.left_out == {"imports and exports": 1}


@pytest.mark.parametrize(
    ("text", "code", "language"),
    [
        ("```js\na()\n```", "a()", "js"),
        ("~~~ Python\na()\n~~~", "a()", "python"),
        ("   ```\n   a()\n   ```", "a()", ""),
        ("text\n\n    a()\n\n    b()\n", "a()\n\nb()", ""),
        ("text\n\n\ta()\n", "a()", ""),
        ("> ```sh\n> a\n> ```\n", "a", "sh"),
        ("> ```sh\n> a\n\ntext", "a", "sh"),
        ("```{code-block} ruby\na\n```", "a", "ruby"),
        ("```js title='x.js' {1}\na\n```", "a", "js"),
        ("```js\nnever closed", "never closed", "js"),
        ("- item\n\n  ```c\n  a;\n  ```", "a;", "c"),
    ],
)
def test_code_is_in_a_fence_with_its_language(text: str, code: str, language: str) -> None:
    snippet = only(read(text))
    assert f"```{language}\n{code}\n```" in snippet.text
    assert (snippet.kind, snippet.language) == ("code", language)


def test_code_with_a_fence_inside_has_a_longer_fence() -> None:
    assert text_of("~~~~md\n```js\na\n```\n~~~~") == "````md\n```js\na\n```\n````"


def test_code_keeps_the_name_of_its_file() -> None:
    assert text_of('```ts title="vite.config.ts"\na\n```') == "**vite.config.ts**\n\n```ts\na\n```"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('!!! note "Read this"\n    Text.\n', "**Note: Read this**\n\nText."),
        ("!!! warning\n    Text.\n\nAfter.", "**Warning**\n\nText.\n\nAfter."),
        ("??? tip\n    ```sh\n    a\n    ```\n", "**Tip**\n\n```sh\na\n```"),
        ('=== "pip"\n\n    text\n\n=== "uv"\n\n    more\n', "**pip**\n\ntext\n\n**uv**\n\nmore"),
        ("/// note | Read\n\nText.\n\n///", "**Note: Read**\n\nText."),
        ("//// tab | Python 3.10\n\nText.\n\n////", "**Python 3.10**\n\nText."),
        (":::tip\nText.\n:::", "**Tip**\n\nText."),
        ("::: details Click me\nText.\n:::", "**Click me**\n\nText."),
        (":::note[Own title]\n\nText.\n\n:::", "**Note: Own title**\n\nText."),
        ('::tip{title="Own"}\nText.\n::', "**Tip: Own**\n\nText."),
        ("::lead-p\nText.\n::", "Text."),
        ("> [!NOTE]\n> Text.", "> **Note**\n> Text."),
        ("```{warning}\nText.\n```", "**Warning**\n\nText."),
        ("<Note>\n  Text.\n</Note>", "**Note**\nText."),
        ('<Callout title="Own">\nText.\n</Callout>', "**Own**\nText."),
    ],
)
def test_admonition_is_a_bold_line_and_its_text(text: str, shown: str) -> None:
    assert text_of(text) == shown


def test_sides_of_a_page_are_the_language_of_snippets() -> None:
    text = f":::python\n{PROSE}\n:::\n\n:::js\n{PROSE}\n:::\n"
    assert [each.language for each in read(text).snippets] == ["python", "javascript"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('<Tabs>\n<Tab title="npm">\n\ntext\n\n</Tab>\n</Tabs>', "**npm**\n\ntext"),
        ('<TabItem value="a" label="Label">\ntext\n</TabItem>', "**Label**\ntext"),
        ("<details>\n<summary>More</summary>\n\ntext\n</details>", "**More**\n\ntext"),
        ('<Card\n  title="T"\n  href="/x"\n>\n  text\n</Card>', "T\n\ntext"),
        ('<div align="center">text<br/>more</div>', "text more"),
        ("Use <name> in `<T>` at <https://a.b>.", "Use <name> in `<T>` at <https://a.b>."),
        ("a <b>bold</b> <code>x</code>", "a **bold** `x`"),
        ('<img src="x" alt="A picture">', "A picture"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("before {/* gone */}after", "before after"),
        ("<!-- gone -->text", "text"),
        ("import the module", "import the module"),
    ],
)
def test_tags_go_and_their_labels_stay(text: str, shown: str) -> None:
    assert text_of(text, "page.mdx").replace("**T**", "T") == shown


def test_field_of_a_component_is_a_term_and_a_name() -> None:
    text = '<ParamField body="limit" type="int" default="5" required>\n  How many.\n</ParamField>'
    snippet = only(read(text, "page.mdx"))
    assert snippet.text == "- **`limit`** (int, required, default 5)\n  How many."
    assert snippet.names == ("limit",)


def test_properties_of_a_component_are_text() -> None:
    text = """\
<PropsTable
\tdata={[
\t\t{
\t\t\tname: "modal",
\t\t\ttype: "boolean",

\t\t\tdescription: (
\t\t\t\t<span>
\t\t\t\t\tIt doesn't let <Code>focus</Code> out.
\t\t\t\t</span>
\t\t\t),
\t\t},
\t]}
/>

After.
"""
    shown = "- **modal**\n  type: boolean\n  It doesn't let focus out.\n\nAfter."
    assert text_of(text, "page.mdx") == shown


def test_styles_of_a_component_are_no_text() -> None:
    assert text_of("<div\n  style={{\n    color: 'red',\n  }}\n>\ntext\n</div>", "a.mdx") == "text"


def test_tag_above_a_fence_hides_nothing() -> None:
    text = f'<Tab value="Zod">\n```ts\na\n```\n</Tab>\n{PROSE}\n\n### .transform()\n\n{PROSE}'
    assert [each.title for each in read(text, "a.mdx").snippets][-1] == ".transform()"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("import A from './a'", "imports and exports"),
        ("export default function X() {\n  return 1\n}", "imports and exports"),
        ("<!-- a\n\n# b -->", "comments"),
        ("{/* a\n# b */}", "comments"),
        ("<script setup>\nlet a\n</script>", "script of the page"),
        ("<style>\n.a {}\n</style>", "style of the page"),
        ("[a]: http://b", "link definitions"),
        ("> ## Documentation Index\n> Fetch it.", "index for agents"),
        ("***", "rules"),
        ("{{< tabs >}}", "layout"),
        ("{% raw %}", "layout"),
        ("## Contents\n\n- [a](#a)\n- [b](#b)", "tables of contents"),
        ("## See\n\n- [a](#a)\n- [b](#b)\n- [c](#c)", "lists of links"),
        ("```{toctree}\na\n```", "tables of contents"),
    ],
)
def test_what_is_left_out_is_counted_by_its_kind(text: str, kind: str) -> None:
    reading = read(f"Before.\n\n{text}\n", "page.mdx")
    lines = [line for line in text.split("\n") if line.strip()]
    assert reading.left_out == {kind: len(lines)}


def test_versions_in_comments_of_node_are_kept() -> None:
    text = "## `fs.open()`\n\n<!-- YAML\nadded: v0.1\nchanges:\n  - pr-url: x\n-->\n\nText."
    assert only(read(text)).text == "added: v0.1\n\nText."


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("`fs.readFile(path[, options], callback)`", ("fs.readFile",)),
        (".transform()", ("transform",)),
        ("useState", ("useState",)),
        ("`name`", ("name",)),
        ("async method: Page.click", ("Page.click",)),
        ("Installation", ()),
        ("Use it", ()),
    ],
)
def test_heading_that_is_an_identifier_is_a_name(heading: str, names: tuple[str, ...]) -> None:
    assert only(read(f"## {heading}\n\nText.")).names == names


def test_definitions_in_code_are_names() -> None:
    code = "export const a = 1\nclass B:\n    def c(self): ...\nasync function d() {}\npub fn e()"
    assert only(read(f"```\n{code}\n```")).names == ("a", "B", "c", "d", "e")
