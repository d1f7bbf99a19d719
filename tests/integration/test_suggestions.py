"""`resolve` of a phrase while upstream is off: suggestions under a miss, never an id."""

import json
from pathlib import Path

from support.product import product_environment, run_product

PHRASE = "python web framework for async rest apis"
OFF = {"CONTEXT7_FABRIC_UPSTREAM": "off"}


def test_suggestions_are_shown_under_a_miss(home: Path) -> None:
    done = run_product("resolve", PHRASE, env=product_environment(home, OFF))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "not verified" in done.stderr
    assert "/websites/fastapi_tiangolo" in done.stderr


def test_programs_get_them_apart_from_the_id(home: Path) -> None:
    done = run_product("resolve", "--json", PHRASE, env=product_environment(home, OFF))
    answer = json.loads(done.stdout)
    assert (answer["library_id"], answer["outcome"]) == (None, "suggestion")
    assert "/websites/fastapi_tiangolo" in answer["suggestions"]
    assert len(answer["suggestions"]) <= 5
