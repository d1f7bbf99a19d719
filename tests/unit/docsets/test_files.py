"""Documents of a folder: what is read, what is left out, and what cannot do harm."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from context7_fabric.docsets.sources import files
from context7_fabric.docsets.sources.files import decoded, documents, include_resolver
from context7_fabric.docsets.sources.source import (
    Document,
    Omitted,
    SourceBounds,
    SourceTree,
)
from context7_fabric.errors import SourceTooLarge

BOUNDS = SourceBounds(entries=60, documents=20, file_bytes=2000, text_bytes=10_000, depth=10)

UNPRIVILEGED = 65534


def tree(root: Path, **facts: object) -> SourceTree:
    return SourceTree(root, str(root), "r1", **facts)  # type: ignore[arg-type]


def write(root: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = root / name.replace("__", "/")
        path = path.with_name(f"{path.name}.md")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def read(root: Path, **facts: object) -> dict[str, str]:
    return {
        each.path: each.text if isinstance(each, Document) else f"({each.reason})"
        for each in documents(tree(root, **facts), BOUNDS)
    }


def test_documents_of_a_folder_come_in_order_with_what_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, b="# B", a__z="# Z", a__y="# Y")
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")
    (tmp_path / "page.html").write_text("<p>")
    (tmp_path / "empty.md").write_text(" \n")
    found = read(tmp_path)
    assert [path for path, text in found.items() if text.startswith("#")] == [
        "b.md",
        "a/y.md",
        "a/z.md",
    ]
    assert found["logo.png"] == "(not documentation)"
    assert found["page.html"] == "(rendered pages beside documents in another form)"
    assert found["empty.md"] == "(empty)"


def test_documents_of_parts_are_those_of_folders_and_files_named(tmp_path: Path) -> None:
    write(tmp_path, a__x="# X", b__y="# Y", c="# C")
    assert list(read(tmp_path, parts=("b", "c.md", "gone.md"))) == ["b/y.md", "c.md", "gone.md"]


def test_documents_of_parts_that_lie_in_another_come_once(tmp_path: Path) -> None:
    write(tmp_path, a__b__x="# X", a__y="# Y", ab="# AB")
    assert list(read(tmp_path, parts=("a/b", "a", "ab.md"))) == ["a/y.md", "a/b/x.md", "ab.md"]


def test_documents_that_stand_for_links_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, a="../../outside", b="# B")
    links = frozenset({"a.md"})
    expected = {"a.md": "(symbolic link)"}
    assert read(tmp_path, links=links) == {**expected, "b.md": "# B"}
    assert read(tmp_path, links=links, parts=("a.md",)) == expected


def test_documents_with_links_names_them_and_does_not_follow(tmp_path: Path) -> None:
    source, outside = tmp_path / "source", tmp_path / "outside"
    write(source, a="# A")
    write(outside, secret="# S")
    (source / "file.md").symlink_to(outside / "secret.md")
    (source / "folder").symlink_to(outside)
    (source / "loop").symlink_to(source)
    found = read(source)
    assert found == {
        "a.md": "# A",
        "file.md": "(symbolic link)",
        "folder": "(symbolic link)",
        "loop": "(symbolic link)",
    }
    assert read(source, parts=("folder",)) == {"folder": "(symbolic link)"}
    assert read(source, parts=("folder/secret.md",)) == {"folder/secret.md": "(symbolic link)"}


def test_documents_with_special_files_never_wait_for_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    assert read(tmp_path) == {"pipe.md": "(not a regular file)"}
    assert read(tmp_path, parts=("pipe.md",)) == {"pipe.md": "(not a regular file)"}


def test_documents_too_large_binary_or_deep_are_named(tmp_path: Path) -> None:
    write(tmp_path, large="x" * 2001, **{"__".join("d" * 12) + "__deep": "# D"})
    (tmp_path / "binary.md").write_bytes(b"# A\0B")
    found = read(tmp_path)
    assert found["large.md"] == "(over the size of a file)"
    assert found["binary.md"] == "(binary)"
    assert found["/".join("d" * 11)] == "(nested too deep)"


def test_documents_that_may_not_be_read_are_named() -> None:
    with TemporaryDirectory() as name, another_user(Path(name)):
        root = Path(name)
        write(root, a="# A", b__c="# C")
        (root / "a.md").chmod(0)
        (root / "b").chmod(0)
        found = read(root)
        (root / "b").chmod(0o700)
    assert found == {"a.md": "(permission denied)", "b": "(permission denied)"}


@contextmanager
def another_user(folder: Path) -> Iterator[None]:
    """Own `folder` and run as a user with no privilege: root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.chown(folder, UNPRIVILEGED, -1)
    os.seteuid(UNPRIVILEGED)
    try:
        yield
    finally:
        os.seteuid(0)


def test_documents_that_vanish_while_they_are_read_are_named(tmp_path: Path) -> None:
    write(tmp_path, a="# A", b="# B", c__d="# D")
    found = documents(tree(tmp_path), BOUNDS)
    assert next(found) == Document("a.md", "# A")
    (tmp_path / "b.md").unlink()
    (tmp_path / "c").rename(tmp_path / "moved")
    assert list(found) == [Omitted("b.md", files.VANISHED), Omitted("c/d.md", files.VANISHED)]


def test_documents_that_become_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, a="# A", b="# B")
    found = documents(tree(tmp_path), BOUNDS)
    next(found)
    (tmp_path / "b.md").unlink()
    (tmp_path / "b.md").symlink_to("/etc/passwd")
    assert list(found) == [Omitted("b.md", files.LINK)]


def test_documents_with_names_that_are_not_utf8_are_read(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\n.md")
    (tmp_path / name).write_text("# C")
    assert read(tmp_path) == {"caf\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}.md": "# C"}


@pytest.mark.parametrize(
    ("fill", "counted", "option"),
    [
        (
            lambda root: [(root / f"{n}.png").touch() for n in range(61)],
            "60 files and folders",
            None,
        ),
        (
            lambda root: [(root / f"{n}.md").write_text("#") for n in range(21)],
            "20 documents",
            None,
        ),
        (
            lambda root: [(root / f"{n}.md").write_text("x" * 1999) for n in range(6)],
            "10,000 characters of text",
            "--max-size",
        ),
    ],
)
def test_documents_beyond_a_bound_raise_one_line(
    tmp_path: Path, fill: Callable[[Path], object], counted: str, option: str | None
) -> None:
    fill(tmp_path)
    with pytest.raises(SourceTooLarge, match=f"more than {counted}") as caught:
        list(documents(tree(tmp_path), BOUNDS))
    assert str(caught.value).isprintable()
    assert caught.value.option == option
    raised = f"or give `add` a larger {option}" if option else "no option raises this bound"
    assert str(caught.value).endswith(f"; {raised}")


def test_documents_of_pages_have_their_paths(tmp_path: Path) -> None:
    write(tmp_path, p1="# One", p2="# Two")
    assert read(tmp_path, pages={"docs/one": "p1.md", "docs/": "p2.md"}) == {
        "docs/one": "# One",
        "docs/": "# Two",
    }


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"caf\xc3\xa9", "café"),
        (b"\xef\xbb\xbf# A", "# A"),
        ("# é".encode("utf-16"), "# é"),
        (b"caf\xe9 cr\xe8me", "café crème"),
        ("é ü ñ ".encode() + b"\xff", "é ü ñ \N{REPLACEMENT CHARACTER}"),
        (b"a\0b", None),
        (b"", ""),
    ],
)
def test_decoded_of_each_encoding(data: bytes, text: str | None) -> None:
    assert decoded(data) == text


def test_include_resolver_reads_files_of_the_source_only(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write(source, docs__a="# A", src__b="# B", large="x" * 2001)
    write(tmp_path, secret="# S")
    (source / ".env").write_text("KEY=1")
    (source / "binary").write_bytes(b"\0")
    (source / "link.md").symlink_to(tmp_path / "secret.md")
    (source / "folder").symlink_to(tmp_path)
    os.mkfifo(source / "pipe")
    include = include_resolver(tree(source, parts=("docs",), links=frozenset({"src/l"})), BOUNDS)
    assert include("docs/a.md", "../src/b.md") == "# B"
    assert include("docs/a.md", "/src/b.md") == "# B"
    assert include("docs/a.md", "a.md") == "# A"
    assert {
        target: include("docs/a.md", target)
        for target in (
            "../../secret.md",
            "/../secret.md",
            "/../../../../etc/passwd",
            "/link.md",
            "/folder/secret.md",
            "/.env",
            "/large.md",
            "/binary",
            "/pipe",
            "/src",
            "/src/l",
            "gone.md",
            "a\0b",
            "",
            ".",
            "x" * 5000,
            "\udcff",
        )
        if include("docs/a.md", target) is not None
    } == {}


def test_include_resolver_of_a_single_file_reads_no_other(tmp_path: Path) -> None:
    write(tmp_path, a="# A", b="# B")
    include = include_resolver(tree(tmp_path, parts=("a.md",), includes=False), BOUNDS)
    assert include("a.md", "b.md") is None
