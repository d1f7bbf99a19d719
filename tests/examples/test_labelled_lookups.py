"""A sample of the labelled look-ups, where these lie beside the repository, through the command."""

import random
from pathlib import Path

import pytest

from support.lookups import (
    MODES,
    NAME_LIKE,
    is_missed,
    is_wrong,
    looked_up,
    read_cases,
    read_registry,
)

DATA = Path(__file__).parents[3] / "shared" / "data"
SAMPLED = 150


@pytest.mark.timeout(240)
def test_resolve_of_a_sample_of_labelled_look_ups_prints_no_wrong_id(tmp_path: Path) -> None:
    if not (DATA / "lookups-dev.jsonl").exists():
        pytest.skip("the labelled look-ups do not lie beside the repository")
    cases = random.Random(7).sample(read_cases(DATA / "lookups-dev.jsonl"), SAMPLED)  # noqa: S311  # a sample, no secret
    cases = [*{case.query: case for case in cases}.values()]
    results = looked_up(cases, read_registry(DATA / "lookups-registry.json"), tmp_path)
    assert any(case.kind in NAME_LIKE for case in cases)
    for mode in MODES:
        pairs = [(case, results.by_mode[mode][case.query]) for case in cases]
        assert [case for case, found in pairs if is_wrong(case, found)] == []
        assert [case for case, found in pairs if is_missed(case, found)] == []
