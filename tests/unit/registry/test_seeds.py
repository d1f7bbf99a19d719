"""Seed file: the shipped one is complete, and each mistake in another is reported by line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from context7_fabric.errors import SeedError
from context7_fabric.parsing.ids import parse_id
from context7_fabric.registry.seeds import (
    ECOSYSTEMS,
    FILE_NAME,
    Seed,
    load_seeds,
)
from context7_fabric.seed_files import seed_folder

SMALL = """\
version: "1.0"
categories:
  web:
    description: "On the web"
    libraries:
      - name: Next.js
        aliases: [nextjs, "Next JS"]
        ecosystem: npm
        id: "/vercel/next.js"
        description: A framework
      - name: gin
  data:
    libraries:
      - {name: gin, ecosystem: pypi, aliases: []}
  empty: {}
"""
NEXT = Seed("Next.js", ("nextjs", "Next JS"), "/vercel/next.js", "npm", "web", "A framework")
GIN = Seed("gin", (), "", "other", "web", "")
OTHER_GIN = Seed("gin", (), "", "pypi", "data", "")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "seeds.yaml"


def complaint(path: Path, text: str | bytes) -> SeedError:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SeedError) as caught:
        load_seeds(path)
    assert caught.value.path == str(path)
    assert "\n" not in str(caught.value)
    return caught.value


class TestShipped:
    def test_every_library_has_a_name_an_ecosystem_and_a_description(self) -> None:
        libraries = load_seeds().libraries
        assert len(libraries) > 300
        assert {seed.ecosystem for seed in libraries} <= ECOSYSTEMS
        assert all(seed.name and seed.category and seed.description for seed in libraries)

    def test_no_library_stands_there_twice(self) -> None:
        named = [(seed.name, seed.ecosystem) for seed in load_seeds().libraries]
        assert sorted(set(named)) == sorted(named)

    def test_every_id_is_spelt_as_upstream_spells_it(self) -> None:
        ids = [seed.id for seed in load_seeds().libraries if seed.id]
        assert len(ids) > 50
        assert [str(parse_id(seed_id)) for seed_id in ids] == ids

    def test_it_lies_where_one_function_says(self) -> None:
        assert (seed_folder() / FILE_NAME).is_file()


class TestReading:
    def test_what_is_written_is_read(self, path: Path) -> None:
        path.write_text(SMALL, "utf-8")
        assert load_seeds(path).libraries == (NEXT, GIN, OTHER_GIN)

    def test_how_long_resolved_seeds_stay_fresh_is_read(self, path: Path) -> None:
        path.write_text(f"ttl_days: 7\n{SMALL}", "utf-8")
        assert load_seeds(path).ttl_days == 7
        path.write_text(SMALL, "utf-8")
        assert load_seeds(path).ttl_days == 30

    def test_a_byte_order_mark_does_not_matter(self, path: Path) -> None:
        path.write_text(SMALL, "utf-8-sig")
        assert len(load_seeds(path).libraries) == 3

    def test_a_seed_is_an_unverified_row_of_the_registry(self) -> None:
        row = NEXT.row
        assert (row.name, row.title, row.id) == ("next.js", "Next.js", "/vercel/next.js")
        assert (row.aliases, row.ecosystem) == (NEXT.aliases, "npm")
        assert (row.category, row.description) == ("web", "A framework")


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "line", "reason"),
        [
            ("version: 1\n", 1, "there are no `categories`"),
            ("- a\n- b\n", 1, "a mapping is wanted here"),
            ("just text", 1, "a mapping is wanted here"),
            ("categories:\n", 1, "a mapping is wanted here"),
        ],
    )
    def test_load_seeds_of_a_wrong_frame_fails_with_its_line(
        self, path: Path, text: str, line: int, reason: str
    ) -> None:
        error = complaint(path, text)
        assert (error.line, error.reason) == (line, reason)
        assert str(error) == f"{path}, line {line}: {reason}"

    @pytest.mark.parametrize(
        ("text", "line", "reason"),
        [
            ("ttl_days: ²\n", 1, "`ttl_days`: '²' is not a number of days"),
            ("ttl_days: soon\n", 1, "`ttl_days`: 'soon' is not a number of days"),
            ("ttl_days: [1]\n", 1, "a text is wanted here"),
            ("categories:\n  bad: [1]\n", 2, "a mapping is wanted here"),
            ("categories:\n  ? [a]\n  : {}\n", 2, "a text is wanted here"),
            ("categories:\n  bad:\n    libraries: {}\n", 3, "a list is wanted here"),
            ("categories:\n  bad:\n    libraries:\n", 3, "a list is wanted here"),
            ("categories:\n  bad: {}\n  bad: {}\n", 3, "`bad` stands here twice"),
        ],
    )
    def test_load_seeds_with_a_wrong_part_keeps_the_rest(
        self, path: Path, text: str, line: int, reason: str
    ) -> None:
        rest = SMALL.partition("categories:\n")[2]
        framed = text if "categories" in text else f"{text}categories:\n"
        path.write_text(framed + rest, "utf-8")
        seeds = load_seeds(path)
        assert seeds.libraries == (NEXT, GIN, OTHER_GIN)
        assert seeds.ttl_days == 30
        (error,) = seeds.left_out
        assert (error.line, error.reason) == (line, reason)

    @pytest.mark.parametrize(
        ("entry", "line", "reason"),
        [
            ("react", 4, "a mapping is wanted here"),
            ("id: /a/b", 4, "a library needs a `name`"),
            ('name: " "', 4, "a library needs a `name`"),
            ("name: [react]", 4, "a text is wanted here"),
            ("name: a\n        name: b", 5, "`name` stands here twice"),
            ("name: a\n        id: react", 5, "'react' is not a library id (/org/project)"),
            ("name: a\n        id: null", 5, "'null' is not a library id (/org/project)"),
            ("name: a\n        id: /a/b c", 5, "'/a/b c' is not a library id (/org/project)"),
            ("name: a\n        id: {}", 5, "a text is wanted here"),
            ("name: a\n        aliases: b", 5, "a list is wanted here"),
            (
                "name: a\n        aliases:\n          - b\n          - {}",
                7,
                "a text is wanted here",
            ),
            ("name: a\n        description: [b]", 5, "a text is wanted here"),
            (
                "name: a\n        ecosystem: gems",
                5,
                "'gems' is none of crates, go, maven, npm, other, pypi",
            ),
            (f"name: {'a' * 300}", 4, "a text here has more than 214 characters"),
            (f"name: a\n        aliases: {['b'] * 51}", 5, "there are more than 50 aliases"),
            (
                f"name: a\n        description: {'b' * 2001}",
                5,
                "a text here has more than 2,000 characters",
            ),
            ('name: "a\\eb"', 4, "a text here has a control character"),
            ('name: "a\\u200bb"', 4, "a name here has an invisible character"),
            ("name: a\x07b", 4, "a character here is a control character or not UTF-8"),
            ("name: a\udcffb", 4, "a character here is a control character or not UTF-8"),
            ("name: gin", 4, "the name stands here twice in one ecosystem"),
        ],
    )
    def test_load_seeds_with_a_wrong_entry_leaves_out_and_names_it_alone(
        self, path: Path, entry: str, line: int, reason: str
    ) -> None:
        text = f"categories:\n  bad:\n    libraries:\n      - {entry}\n      - name: b\n"
        if entry == "name: gin":
            text = text.replace("      - name: gin", "      - name: gin\n      - name: gin")
            line += 1
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        seeds = load_seeds(path)
        assert [seed.name for seed in seeds.libraries if seed.name != "gin"] == ["b"]
        (error,) = seeds.left_out
        assert error.line == line
        assert error.reason.endswith(f" is left out: {reason}")
        assert error.reason.startswith(("the library '", "a library without a name"))
        assert len(error.reason) < 250

    @pytest.mark.parametrize(
        "library_id",
        [
            "/langchain-ai/langchain/libs/langchain",
            "/npm/angular/core",
            "/quay/harbour/v1.2",
            "/quay/a/b/c/d",
        ],
    )
    def test_load_seeds_of_an_id_with_more_parts_keeps_it_as_written(
        self, path: Path, library_id: str
    ) -> None:
        path.write_text(
            f"categories: {{a: {{libraries: [{{name: b, id: {library_id}}}]}}}}", "utf-8"
        )
        seeds = load_seeds(path)
        assert ([seed.row.id for seed in seeds.libraries], seeds.left_out) == ([library_id], ())

    def test_load_seeds_of_json_reads_characters_beyond_the_first_plane(self, path: Path) -> None:
        entries = [{"name": "a", "description": "\U0001f680 up"}, {"name": "b\ud83d"}]
        path.write_text(json.dumps({"categories": {"c": {"libraries": entries}}}), "utf-8")
        seeds = load_seeds(path)
        assert [seed.description for seed in seeds.libraries] == ["\U0001f680 up"]
        assert len(seeds.left_out) == 1

    @pytest.mark.parametrize(
        "text",
        [
            "- " * 50_000,
            "[" * 50_000,
            "categories: " + "{a: " * 5_000 + "1" + "}" * 5_000,
        ],
    )
    def test_load_seeds_of_deep_nesting_fails_at_once(self, path: Path, text: str) -> None:
        assert complaint(path, text).reason == "is nested more than 16 deep"

    def test_load_seeds_of_a_list_that_is_repeated_by_reference_stays_bounded(
        self, path: Path
    ) -> None:
        rows = "".join(f"      - {{name: n{number}, aliases: *many}}\n" for number in range(2_000))
        many = f"many: &many [{', '.join(['a'] * 20_000)}]\n"
        path.write_text(f"{many}categories:\n  a:\n    libraries:\n{rows}", "utf-8")
        assert len(load_seeds(path).left_out) == 2_000

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("- x\n b: c\n", 2),
            ("\ta: 1", 1),
            ("a: 1\n---\nb: 2", 2),
            ("a: 1\nb: *x", 2),
            ('a: 1\nb: "\\q"', 2),
        ],
    )
    def test_load_seeds_without_yaml_fails_with_its_line(
        self, path: Path, text: str, line: int
    ) -> None:
        assert complaint(path, text).line == line

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "is empty"),
            ("# a comment\n", "is empty"),
            (b"\xff\xfea\x00", "is UTF-16: save it as UTF-8"),
        ],
    )
    def test_load_seeds_of_an_unreadable_text_fails(
        self, path: Path, text: str | bytes, reason: str
    ) -> None:
        error = complaint(path, text)
        assert error.line is None
        assert error.reason.startswith(reason)

    def test_load_seeds_without_a_file_fails(self, path: Path) -> None:
        with pytest.raises(SeedError, match="cannot be read"):
            load_seeds(path)

    def test_nothing_in_the_file_is_executed(self, path: Path, tmp_path: Path) -> None:
        trap = tmp_path / "sprung"
        text = f"categories: !!python/object/apply:os.mkdir ['{trap}']"
        assert complaint(path, text).reason == "a mapping is wanted here"
        assert not trap.exists()
