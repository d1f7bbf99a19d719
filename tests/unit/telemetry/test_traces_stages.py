"""Tiers that a call went through, by its steps."""

from __future__ import annotations

import pytest

from context7_fabric.models import Tier, TracedStep
from context7_fabric.telemetry.spans import Stage, stages

QUERY, RESOLVE = "query-docs", "resolve-library-id"


def test_a_hit_is_the_tier_that_answered() -> None:
    steps = [("stored copy, 3h old: fresh", 0.5), (TracedStep.ANSWERED, 1.0)]
    assert stages(RESOLVE, Tier.LEARNED, steps, 1.0) == (Stage(Tier.LEARNED, 0, 0.5),)


@pytest.mark.parametrize(("tool", "tier"), [(QUERY, Tier.QUESTION), (RESOLVE, Tier.NAME)])
def test_a_miss_is_the_store_and_then_upstream(tool: str, tier: Tier) -> None:
    steps = [
        ("nothing stored", 0.5),
        (TracedStep.ASKED, 0.6),
        ("admitted and stored", 90),
        (TracedStep.ANSWERED, 91),
    ]
    assert stages(tool, Tier.UPSTREAM, steps, 91) == (
        Stage(tier, 0, 0.5),
        Stage(Tier.UPSTREAM, 0.6, 90),
    )


def test_who_joins_a_call_waits_for_upstream_as_well() -> None:
    steps = [("nothing stored", 1.0), (TracedStep.JOINED, 2.0)]
    assert stages(QUERY, Tier.UPSTREAM, steps, 50)[1:] == (Stage(Tier.UPSTREAM, 2.0, 50),)


def test_what_is_known_without_either_comes_last() -> None:
    steps = [
        ("nothing stored", 1.0),
        (TracedStep.ASKED, 1.0),
        ("cannot be reached", 30.0),
        (TracedStep.ANSWERED, 40),
    ]
    assert [each.tier for each in stages(QUERY, Tier.SNIPPETS, steps, 40)] == [
        Tier.QUESTION,
        Tier.UPSTREAM,
        Tier.SNIPPETS,
    ]
    assert stages(QUERY, Tier.SNIPPETS, steps, 40)[-1] == Stage(Tier.SNIPPETS, 30, 40)


def test_a_call_that_noted_nothing_is_its_tier_alone() -> None:
    assert stages(QUERY, Tier.LOCAL, [], 2.0) == (Stage(Tier.LOCAL, 0, 2.0),)
