"""Tags that fit a version."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.docsets.sources.tags import fitting_tag, read_tag, version_of_tag


@pytest.mark.parametrize(
    ("tag", "name", "numbers", "stage"),
    [
        ("v1.2.3", "", (1, 2, 3), ""),
        ("1.2.3", "", (1, 2, 3), ""),
        ("v5", "", (5,), ""),
        ("1.2.0", "", (1, 2), ""),
        ("vite-1.2.3", "vite", (1, 2, 3), ""),
        ("vite@1.2.3", "vite", (1, 2, 3), ""),
        ("vite_v1.2.3", "vite", (1, 2, 3), ""),
        ("vite/v1.2.3", "vite", (1, 2, 3), ""),
        ("create-vite@5.0.1", "create-vite", (5, 0, 1), ""),
        ("@scope/name@8.2.1", "scope/name", (8, 2, 1), ""),
        ("langchain==1.0.3", "langchain", (1, 0, 3), ""),
        ("libs/core/v0.1.2", "libs/core", (0, 1, 2), ""),
        ("go1.21.3", "go", (1, 21, 3), ""),
        ("curl-8_5_1", "curl", (8, 5, 1), ""),
        ("rel_2_0_36", "", (2, 0, 36), ""),
        ("REL_16_2", "", (16, 2), ""),
        ("release-1.2.3", "", (1, 2, 3), ""),
        ("release/v1.2.3", "", (1, 2, 3), ""),
        ("releases/v2.1", "", (2, 1), ""),
        ("1.2.3-RELEASE", "", (1, 2, 3), ""),
        ("1.2.3.Final", "", (1, 2, 3), ""),
        ("v1.2.3+build.5", "", (1, 2, 3), ""),
        ("v1.2.3-rc.1", "", (1, 2, 3), "rc1"),
        ("1.2.3rc1", "", (1, 2, 3), "rc1"),
        ("v1.2.3-beta2", "", (1, 2, 3), "b2"),
        ("1.2.3b2", "", (1, 2, 3), "b2"),
        ("1.2.3.post1", "", (1, 2, 3), "post1"),
        ("v1.2.3-canary.10", "", (1, 2, 3), "canary10"),
    ],
)
def test_read_tag_of_each_form(tag: str, name: str, numbers: tuple[int, ...], stage: str) -> None:
    read = read_tag(tag)
    assert read is not None
    shown = "".join(word.lstrip("0") for word in read.stage)
    assert (read.name, read.numbers, shown) == (name, numbers, stage)


@pytest.mark.parametrize("tag", ["", "nightly", "latest", "v1.2.3-foo", "1" * 300, "v", "py3-none"])
def test_read_tag_of_another_form_is_none(tag: str) -> None:
    assert read_tag(tag) is None


@pytest.mark.parametrize(
    ("version", "tag"),
    [
        ("5.0.0", "v5.0.0"),
        ("5.0", "v5.0.0"),
        ("v5.0.0", "v5.0.0"),
        ("5.1.0-beta.2", "v5.1.0-beta.2"),
        ("5.1.0b2", "v5.1.0-beta.2"),
        ("4", "v4.10.1"),
        ("4.x", "v4.10.1"),
        ("4.9.x", "v4.9.2"),
        ("6", "v6.0.0-rc.10"),
        ("7.0.0", "vite@7.0.0"),
        ("8.0.0", None),
        ("9.9", None),
        ("latest", None),
        ("x", None),
    ],
)
def test_fitting_tag_prefers_the_version_itself_then_the_highest_release(
    version: str, tag: str | None
) -> None:
    tags = (
        "v5.0.0 create-vite@5.0.0 vite@5.0.0 v5.1.0-beta.2 v4.9.2 v4.10.1 v4.11.0-beta.1 nightly"
        " v6.0.0-rc.9 v6.0.0-rc.10 vite@7.0.0 create-vite@8.0.0"
    )
    assert fitting_tag(tags.split(), version, "Vite") == tag


@pytest.mark.parametrize(
    ("tag", "wanted", "version"),
    [
        ("v1.2.5", "1.2", "1.2.5"),
        ("v1.2.0", "1.2", "1.2"),
        ("core@1.2.5-rc.1", "1.x", "1.2.5-rc.1"),
        ("1.2.3", "v1.2.3", "v1.2.3"),
    ],
)
def test_version_of_tag_is_the_whole_one_of_a_series(tag: str, wanted: str, version: str) -> None:
    assert version_of_tag(tag, wanted) == version


def test_fitting_tag_of_a_scoped_package_knows_its_last_part() -> None:
    assert fitting_tag(["@scope/core@1.0.1"], "1.0.1", "core") == "@scope/core@1.0.1"
    assert fitting_tag(["libs/core/v1.0.1"], "1.0.1", "core") == "libs/core/v1.0.1"
    assert fitting_tag(["langchain-core==1.0.1"], "1.0.1", "langchain") is None


@given(st.text("v1.2-_@/xrcabe+=", max_size=80) | st.text(max_size=300))
def test_read_tag_of_any_text_ends_and_reads_its_own_numbers(text: str) -> None:
    read = read_tag(text)
    if read is not None and read.numbers:
        version = ".".join(map(str, read.numbers))
        assert fitting_tag([version], version, "any") == version
