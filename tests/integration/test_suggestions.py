"""`resolve` of a phrase while upstream is off: suggestions under a miss, never an id."""

import json
from pathlib import Path

from support.product import product_environment, run_product

PHRASE = "python web framework for async rest apis"
OFF = {"CONTEXT7_FABRIC_UPSTREAM": "off"}


def test_suggestions_are_shown_under_a_miss(home: Path) -> None:
    told = run_product("resolve", PHRASE, env=product_environment(home, OFF))
    assert told.returncode == 1
    assert told.stdout == ""
    assert "not verified" in told.stderr
    assert "/websites/fastapi_tiangolo" in told.stderr


def test_programs_get_them_apart_from_the_id(home: Path) -> None:
    told = run_product("resolve", "--json", PHRASE, env=product_environment(home, OFF))
    answer = json.loads(told.stdout)
    assert (answer["library_id"], answer["outcome"]) == (None, "suggestion")
    assert "/websites/fastapi_tiangolo" in answer["suggestions"]
    assert len(answer["suggestions"]) <= 5
