"""Lines of `doctor`: judged from facts, and gathered in a bounded time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from context7_fabric.cli.bug_report import hide
from context7_fabric.cli.checks import (
    LEAST_ROOM,
    LITTLE_ROOM,
    ClientFacts,
    DiskFacts,
    DocsetFacts,
    HealthCheck,
    ModeFacts,
    QuotaFacts,
    UpstreamFacts,
    judge_clients,
    judge_disk,
    judge_docsets,
    judge_modes,
    judge_quota,
    judge_upstream,
)
from context7_fabric.cli.facts import Look, looked
from context7_fabric.errors import StoreError

HOME = Path("/home/ann/c7")


@pytest.mark.parametrize(
    ("free", "files", "state"),
    [
        (LITTLE_ROOM, None, "ok"),
        (LITTLE_ROOM - 1, 9, "warning"),
        (LEAST_ROOM - 1, 9, "wrong"),
        (LITTLE_ROOM, 0, "wrong"),
    ],
)
def test_disk_is_judged_by_its_room_and_by_the_files_that_it_takes(
    free: int, files: int | None, state: str
) -> None:
    check = judge_disk(DiskFacts(HOME, free, files))
    assert check.state == state
    assert ("`context7-fabric purge --all`" in check.remedy) == (state != "ok")


def test_home_that_others_may_list_is_a_warning_and_a_file_in_it_is_wrong() -> None:
    assert judge_modes(ModeFacts(HOME, {HOME: 0o755})).state == "warning"
    assert judge_modes(ModeFacts(HOME, {HOME: 0o755, HOME / "secret": 0o604})).state == "wrong"


@pytest.mark.parametrize(
    ("calls", "of", "state"),
    [(799, 1000, "ok"), (800, 1000, "warning"), (1000, 1000, "warning"), (9, None, "info")],
)
def test_quota_is_judged_by_its_use(calls: int, of: int | None, state: str) -> None:
    assert judge_quota(QuotaFacts(calls, of)).state == state


def test_late_upstream_is_a_warning_with_its_latency() -> None:
    check = judge_upstream(UpstreamFacts("http://c7", with_key=True, milliseconds=3500.4))
    assert (check.state, check.text) == ("warning", "http://c7 (with a key) answers in 3500 ms: ")


def test_docsets_of_repositories_without_git_are_a_warning() -> None:
    lines = {each.name: each for each in judge_docsets(DocsetFacts(held=1, without_git=True))}
    assert (lines["sources"].state, lines["sources"].remedy) == ("warning", "install git")
    assert lines["index"].state == "ok"


def test_index_of_an_earlier_form_is_a_warning() -> None:
    lines = {each.name: each for each in judge_docsets(DocsetFacts(held=1, outdated=["a-b.1"]))}
    assert lines["index"].state == "warning"
    assert "rebuilt at each start: a-b.1" in lines["index"].text


def test_clients_without_an_entry_are_named_in_one_line() -> None:
    files = [ClientFacts("cursor", HOME), ClientFacts("zed", HOME), ClientFacts("zed", HOME)]
    (check,) = judge_clients(files)
    assert (check.state, check.remedy) == ("info", "`context7-fabric setup cursor zed`")


def test_look_that_hangs_has_its_line_and_delays_no_other() -> None:
    never = threading.Event()

    def hang() -> list[HealthCheck]:
        never.wait()
        return []

    quick = HealthCheck("quick", "ok", "fine")
    found = looked([Look("slow", 0.05, hang), Look("quick", 60, lambda: [quick])])
    never.set()
    assert (found[0].name, found[0].ok, found[0].text) == (
        "slow",
        False,
        "no answer within 0.05 s",
    )
    assert found[1] == quick


def test_look_that_the_store_fails_has_its_line() -> None:
    def fail() -> list[HealthCheck]:
        raise ExceptionGroup("", [StoreError("no\nroom")])

    (check,) = looked([Look("store", 60, fail)])
    assert (check.ok, check.text) == (False, "cannot be checked: no room")


def test_look_with_a_defect_raises_it() -> None:
    with pytest.raises(ZeroDivisionError):
        looked([Look("store", 60, lambda: [HealthCheck("x", "ok", str(1 // 0))])])


def test_hide_replaces_whole_words_and_secrets() -> None:
    text = "/home/ann/c7 of ann, not of anna: ctx7sk-0123abcd-4567-89ef-0123-456789abcdef"
    hidden = hide(text, {"/home/ann": "~", "ann": "<user>"})
    assert hidden.startswith("~/c7 of <user>, not of anna: ")
    assert "ctx7sk" not in hidden
