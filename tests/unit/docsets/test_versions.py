"""Version and age of docsets: order, choice, nearest lower, freshness."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.version import Version

from context7_fabric.docsets.models import Docset
from context7_fabric.docsets.versions import (
    DAY,
    choose,
    is_due,
    nearest_lower,
    not_above,
    only_falls_back,
    version_key,
)

FRESH = 45 * DAY
ORDERED = [
    # Each list is in order; forms of several ecosystems.
    ["1.0.dev1", "1.0a1.dev2", "1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0.post1", "1.0.1"],
    ["18.0.0-alpha.1", "18.0.0-alpha.2", "18.0.0-alpha.10", "18.0.0-beta.1", "18.0.0", "18.1.0"],
    ["15.0.0-canary.9", "15.0.0-canary.10", "15.0.0-rc.0", "15.0.0", "15.0.1"],
    ["v0.9", "0.10", "v0.10.1"],
    ["5.3.0.M1", "5.3.0.RELEASE", "5.3.1.RELEASE"],
    ["2.0_35", "2.0_36"],
]
NUMBERS = st.lists(st.integers(0, 30), min_size=1, max_size=4).map(lambda n: ".".join(map(str, n)))
STAGES = st.sampled_from(["", ".dev{n}", "a{n}", "b{n}", "rc{n}", ".post{n}", "a{n}.dev{m}"])
RELEASES = st.builds(
    lambda numbers, stage, n, m: numbers + stage.format(n=n, m=m),
    NUMBERS,
    STAGES,
    st.integers(0, 20),
    st.integers(0, 20),
)
SOME = st.lists(st.one_of(st.none(), RELEASES, st.sampled_from(["canary", "next"])), max_size=6)


def docsets(*versions: str | None) -> list[Docset]:
    return [Docset("/org/project", each, "", "", 0, 0) for each in versions]


def chosen(asked: str | None, *versions: str | None) -> object:
    found = choose(asked, docsets(*versions))
    return "none" if found is None else found.version


@pytest.mark.parametrize("versions", ORDERED, ids=str)
def test_version_key_of_each_ecosystems_forms_is_in_order(versions: Sequence[str]) -> None:
    keys = [version_key(each) for each in versions]
    assert None not in keys
    assert all((one or ()) < (other or ()) for one, other in pairwise(keys))


@given(RELEASES, RELEASES)
def test_version_key_orders_as_pep_440_does(one: str, other: str) -> None:
    first, second = version_key(one), version_key(other)
    assert first is not None
    assert second is not None
    expected = (Version(one) < Version(other), Version(one) == Version(other))
    assert (first < second, first == second) == expected


@pytest.mark.parametrize("text", ["canary", "", "x", "next", "main", "日本", "v"])
def test_version_key_of_a_word_is_none(text: str) -> None:
    assert version_key(text) is None


@given(st.text(max_size=40))
@example("0\u00b9")  # a digit that is no decimal
def test_version_key_of_any_text_raises_nothing_and_compares(text: str) -> None:
    key = version_key(text)
    assert key is None or (key == key and not key < key)  # noqa: PLR0124  # an order


@pytest.mark.parametrize(
    ("asked", "held", "expected"),
    [
        (None, ["1.0", None, "2.0"], None),
        (None, ["1.0", "10.0", "9.0"], "10.0"),
        (None, ["1.0", "2.0rc1"], "1.0"),
        (None, ["2.0rc1", "2.0rc2"], "2.0rc2"),
        (None, ["canary"], "none"),
        ("latest", ["1.0", "2.0"], "2.0"),
        ("1.0", ["1.0", "2.0"], "1.0"),
        ("v1.0.0", ["1.0", "2.0"], "1.0"),
        ("1.1", ["1.0", "2.0", None], "none"),
        ("5.x", ["5.1", "5.4.2", "6.0", "4.18"], "5.4.2"),
        ("5.*", ["5.1", "5.4.2"], "5.4.2"),
        ("5", ["5.1", "5.4.2", "50.0"], "5.4.2"),
        ("v5", ["5.0.0-beta.1", "4.2"], "5.0.0-beta.1"),
        ("5.2", ["5.2.7", "5.20.0"], "5.2.7"),
        ("5.x", ["4.18", "6.0"], "none"),
        ("1.2.3", ["1.2.3.4"], "none"),
        ("canary", ["canary", "1.0"], "canary"),
        ("CANARY", ["canary"], "canary"),
        ("canary", ["1.0", None], "none"),
    ],
)
def test_choose_of_a_version_returns_the_docset_that_answers_for_it(
    asked: str | None, held: Sequence[str | None], expected: object
) -> None:
    assert chosen(asked, *held) == expected


@given(RELEASES, SOME)
def test_choose_of_a_full_version_returns_no_other(asked: str, held: list[str | None]) -> None:
    full = f"{asked.partition('.')[0]}.1.2.3"
    found = choose(full, docsets(*held))
    assert found is None or version_key(found.version or "") == version_key(full)


@given(SOME)
def test_choose_without_a_version_prefers_no_version_then_the_newest_release(
    held: list[str | None],
) -> None:
    found = choose(None, docsets(*held))
    keyed = [key for each in held if each is not None and (key := version_key(each)) is not None]
    releases = [key for key in keyed if key[1] >= 2]
    if None in held:
        assert found is not None
        assert found.version is None
    elif keyed:
        assert found is not None
        assert version_key(found.version or "") == max(releases or keyed)
    else:
        assert found is None


@pytest.mark.parametrize(
    ("asked", "held", "expected"),
    [
        ("2.0", ["1.0", "1.9", "3.0", None], "1.9"),
        ("5.x", ["4.18", "5.0.0-rc.1", "6.0"], "4.18"),
        ("2.0", ["2.0rc1"], "2.0rc1"),
        ("2.0", ["2.0", "3.0"], "none"),
        ("canary", ["1.0"], "none"),
        (None, ["1.0"], "none"),
    ],
)
def test_nearest_lower_returns_the_highest_release_below(
    asked: str | None, held: Sequence[str | None], expected: str
) -> None:
    found = nearest_lower(asked, docsets(*held))
    assert (found.version if found else "none") == expected


@given(RELEASES, SOME)
def test_nearest_lower_is_below_what_was_asked(asked: str, held: list[str | None]) -> None:
    found = nearest_lower(asked, docsets(*held))
    assert found is None or (version_key(found.version or "") or ()) < (version_key(asked) or ())


@pytest.mark.parametrize(
    ("version", "age", "due"),
    [
        (None, 44 * DAY, False),
        (None, 45 * DAY, True),
        (None, -200, False),
        (None, -400 * DAY, True),
        ("1.0", 4000 * DAY, False),
    ],
)
def test_is_due_of_a_docset_without_a_version_after_45_days(
    version: str | None, age: float, due: bool
) -> None:
    now = 1e9
    docset = Docset("/o/p", version, "", "", added_at=0, checked_at=now - age)
    assert is_due(docset, now, FRESH) is due


@pytest.mark.parametrize(
    ("version", "days", "is_late"), [(None, 364, False), (None, 365, True), ("1", 999, False)]
)
def test_only_falls_back_after_a_year_without_success(
    version: str | None, days: int, is_late: bool
) -> None:
    docset = Docset("/o/p", version, "", "", added_at=0, checked_at=0)
    assert only_falls_back(docset, days * DAY) is is_late


VERSIONS = st.from_regex(
    r"v?[0-9]{1,3}(\.[0-9]{1,2}){0,3}(-?(rc|beta|dev)\.?[0-9]{1,2})?", fullmatch=True
)


@given(VERSIONS, st.lists(VERSIONS | st.sampled_from(["canary", "__branch__1-2"]), max_size=12))
def test_not_above_is_one_of_the_known_and_never_higher(asked: str, known: list[str]) -> None:
    chosen = not_above(asked, known)
    own = version_key(asked)
    keys = [key for each in known if (key := version_key(each)) is not None]
    assert own is not None
    if chosen is None:
        assert all(key > own for key in keys)
        return
    key = version_key(chosen)
    assert chosen in known
    assert key is not None
    assert key <= own
    if own in keys:
        assert key == own


@pytest.mark.parametrize(
    ("asked", "known", "chosen"),
    [
        ("1.2.3", ["v1.2.3", "1.2.2"], "v1.2.3"),
        ("1.2.3+local", ["1.2.3"], "1.2.3"),
        ("15.3.2", ["v16.0.0", "v15.1.8", "v14.3.0-canary.87"], "v15.1.8"),
        ("15.0.0", ["15.0.0-canary.5", "14.2"], "14.2"),
        ("1.10", ["1.9", "1.2"], "1.9"),
        ("1.0", ["1.1", "latest"], None),
        ("abc123", ["1.0", "abc123"], "abc123"),
        ("abc123", ["1.0"], None),
    ],
)
def test_not_above_prefers_the_version_itself_then_the_nearest_release(
    asked: str, known: list[str], chosen: str | None
) -> None:
    assert not_above(asked, known) == chosen
