"""Ids that `resolve` prints, with upstream off and with a padded list."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.lookups import (
    MODES,
    Case,
    Known,
    LookUpRuns,
    WordUpstream,
    looked_up,
    seed_text,
    word_upstream,
)
from support.product import Variables, product_environment, run_product

REGISTRY = [
    Known("redis", "/redis/redis-py", ("redis-py",)),
    Known("stripe", "/npm/stripe", (), "npm"),
    Known("playwright", "/microsoft/playwright", (), "npm"),
    Known("@tide/core", "/npm/tide/core", ("tide",), "npm"),
    Known("quay", "/quay/quay/libs/quay", ("qy", "harbour quay")),
    Known("quay-graph", "/quay/quay-graph"),
    Known("next", "/vercel/next.js", ("next.js",), "npm"),
    Known("mongodb", "/npm/mongodb", (), "npm"),
    Known("tokio", "/tokio-rs/tokio", (), "crates"),
    Known("kafka", "/apache/kafka", ("kafka-clients",), "maven"),
    Known("pandas", "/pypi/pandas"),
    Known("tensorflow", "/tensorflow/tensorflow"),
    Known("vue", "/vuejs/core", (), "npm"),
    Known("gin", "/gin-gonic/gin", (), "go"),
]

MEANT = {
    "Redis": "/redis/redis-py",
    "redis-py==5.0": "/redis/redis-py",
    "redis in python": "/redis/redis-py",
    "`tide`": "/npm/tide/core",
    "@tide/core@2": "/npm/tide/core",
    "qy": "/quay/quay/libs/quay",
    "docs for harbour quay": "/quay/quay/libs/quay",
    "quay graph": "/quay/quay-graph",
    "Next.js 15": "/vercel/next.js",
    "npm install next@latest": "/vercel/next.js",
    "tokio rust": "/tokio-rs/tokio",
    "rust tokio": "/tokio-rs/tokio",
    "kafka for java": "/apache/kafka",
    "kafka-clients": "/apache/kafka",
    "gin (go)": "/gin-gonic/gin",
    "vue typescript": "/vuejs/core",
    "MongoDB Node.js": "/npm/mongodb",
}

OTHER_LANGUAGES = re.split(
    r"\s*[|]\s*",
    """redis in rust | redis (rust) | redis, in Go | redis ruby docs | redis .net
    | redis typescript 5 | golang redis | npm redis | pip stripe | cargo add redis | nuget stripe
    | maven redis | redis crates | the redis package for node.js | import redis from 'redis'
    | stripe python | stripe PHP | swift stripe | playwright for java | playwright .NET | kafka c#
    | c# kafka | kafka python | php mongodb | mongodb elixir | elixir pandas | pandas in R
    | r pandas
    | pandas julia | tensorflow.js | tensorflow js | tensorflow c++ | vue for python
    | vue using django in python | tokio in go | gin in kotlin | qy java | tide in dart
    | quay-graph scala | next in haskell | python tokio | java gin | redis c""",
)

NEAR = re.split(
    r"\s*[|]\s*",
    """aioredis | redis-cluster | redis cli | react native | playwright-bdd | playwright test
    | next-auth | vuex | vue router | pandas stubs | kafka connect | client core | core | quay core
    | harbour | stripe cli | a fast graph of quays | in-memory data store | strpe
    | pandass | zzqx""",
)

CASES = [
    *(Case(query, "pos_exact", library_id) for query, library_id in MEANT.items()),
    *(Case(query, "neg_language", None) for query in OTHER_LANGUAGES),
    *(Case(query, "neg_near", None) for query in NEAR),
]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> LookUpRuns:
    """Output of the cases of this file."""
    return looked_up(CASES, REGISTRY, tmp_path_factory.mktemp("own"))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.query)
def test_resolve_prints_the_exact_match_or_no_id(
    printed: LookUpRuns, case: Case, mode: str
) -> None:
    found = printed.by_mode[mode][case.query]
    assert found["library_id"] == case.expected_id
    assert found["exact"] is (case.expected_id is not None)
    assert ("candidates" in found) <= (case.expected_id is None)


@pytest.mark.timeout(240)
def test_resolve_with_a_list_names_the_candidates_where_none_is_exact(printed: LookUpRuns) -> None:
    for query in (*OTHER_LANGUAGES, *NEAR):
        assert len(printed.by_mode["listed"][query]["candidates"]) >= 5
    assert set(printed.asked) >= {*OTHER_LANGUAGES, *NEAR}


@pytest.mark.timeout(240)
def test_resolve_offline_with_suggestions_prints_no_id(printed: LookUpRuns) -> None:
    found = printed.by_mode["off"].values()
    suggested = [each for each in found if each["outcome"] == "suggestion"]
    assert suggested
    assert all(each["library_id"] is None and each["candidates"] for each in suggested)


@pytest.fixture(scope="module")
def listing() -> Iterator[WordUpstream]:
    """An upstream that lists the libraries of this file."""
    with word_upstream(REGISTRY) as upstream:
        yield upstream


@pytest.fixture
def environment(home: Path, tmp_path: Path, listing: WordUpstream) -> dict[str, str]:
    """The product's environment, with this file's libraries as seeds and that upstream."""
    seed = tmp_path / "seed.yaml"
    seed.write_text(seed_text(REGISTRY), "utf-8")
    variables: Variables = {
        "CONTEXT7_FABRIC_SEED": str(seed),
        "CONTEXT7_FABRIC_UPSTREAM": listing.url,
    }
    return product_environment(home, variables)


@pytest.mark.parametrize("name", ["graph quay", "redis in rust", "vue router"])
def test_resolve_without_an_exact_match_prints_candidates_and_fails(
    environment: dict[str, str], name: str
) -> None:
    done = run_product("resolve", name, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{name}: No exact match; candidates: /")
    assert len(done.stderr.splitlines()) == 1


def test_resolve_of_odd_input_answers_each_line(environment: dict[str, str]) -> None:
    typed = "\ufeffRedis\r\n\r\n\t\n-x\n" + "x" * 20_000 + "\nnext \x1b[31m\nnext\n"
    done = run_product("resolve", "--json", "--", "", "-", "", env=environment, typed=typed)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["library_id"] for each in results] == [
        *(None, "/redis/redis-py", None, None, None, "/vercel/next.js", None),
    ]
    assert [each["query"][:4] for each in results] == [
        *("", "Redi", "-x", "xxxx", "next", "next", ""),
    ]
    assert results[0]["note"].startswith("the name is empty")
    assert results[3]["note"].startswith("the name has more than 1,000 characters")
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("words", "library_id", "question"),
    [
        (["redis", "pub", "sub"], "/redis/redis-py", "pub sub"),
        (["Next.js", "app router", "layouts"], "/vercel/next.js", "app router layouts"),
        (["harbour quay", "moor"], "/quay/quay/libs/quay", "moor"),
        (["tide", "--json", "how", "to", "ebb"], "/npm/tide/core", "how to ebb"),
        (["gin-gonic/gin", "--", "--mode", "flag"], "/gin-gonic/gin", "--mode flag"),
        (["/npm/tide/core", "ebb", "and", "flow"], "/npm/tide/core", "ebb and flow"),
    ],
)
def test_docs_of_a_name_asks_its_exact_match_all_words(
    environment: dict[str, str], words: list[str], library_id: str, question: str
) -> None:
    done = run_product("docs", *words, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert question in done.stdout
    again = run_product("docs", "--json", library_id, question, env=environment)
    result = json.loads(again.stdout)
    assert (result["query"], result["library_id"]) == (question, library_id)
    assert result["outcome"] == "hit"


@pytest.mark.parametrize(
    "words", [["graph quay", "edges"], ["redis", "connect in Rust"], ["nosuch", "a", "b"]]
)
def test_docs_of_a_name_without_an_exact_match_fails_on_stderr(
    environment: dict[str, str], words: list[str]
) -> None:
    done = run_product("docs", *words, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{words[0]!r} is no exact match for one library: give one")
    assert len(done.stderr.splitlines()) == 1
    result = json.loads(run_product("docs", "--json", *words, env=environment).stdout)
    assert (result["outcome"], result["library_id"]) == ("error", None)


ERRORS = [
    'Library "httpx" not found.',
    "<!DOCTYPE html>\n<html><body>\n- 502 Bad Gateway\n</body></html>",
    "<html>" + "<p>Sorry.</p>\n" * 300,
    "upstream connect error or disconnect/reset before headers",
    '{"statusCode": 500, "message": "\\u001b[31mred"}',
    "Monthly quota exceeded. Create a free API key.",
    "",
]


@pytest.mark.parametrize("text", ERRORS)
def test_docs_of_an_error_text_fails_on_stderr(home: Path, text: str) -> None:
    with word_upstream(REGISTRY) as upstream:
        upstream.said = text
        env = product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": upstream.url})
        done = run_product("docs", "/encode/httpx", "timeouts", env=env)
        result = json.loads(run_product("docs", "--json", "/a/b", "timeouts", env=env).stdout)
        looked = run_product("resolve", "zzqx", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "\x1b" not in done.stderr
    assert result["outcome"] in ("error", "negative")
    assert (looked.returncode, looked.stdout) == (1, "")
    assert len(looked.stderr.splitlines()) == 1
