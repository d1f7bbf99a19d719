from __future__ import annotations

import json
import time
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.documents.keys import content_words, question_of
from context7_fabric.documents.plurals import singular
from unit.documents.texts import shared

REWORDED = [
    "set a timeout",
    "Set a Timeout",
    "SET TIMEOUT",
    "set timeouts",
    "set the timeout.",
    "set  a\ttimeout ?",
    "set a timeout!",
    "set a 'timeout'",
    "set a `timeout`",
    "set (a) timeout?!",
    "How do I set a timeout?",
    "how to set a timeout",
    "How can I set the timeout?",
    "how could you set a timeout",
    "how should I set a timeout?",
    "How did you set a timeout?",
    "please set a timeout",
    "Please, how do I set a timeout?",
    "Can you please show me how to set a timeout?",
    "could you explain how to set a timeout",
    "I want to set a timeout",
    "I'd like to set a timeout.",
    "i\u2019m trying to set a timeout",
    "what is the way to set a timeout",
    "Is there a way to set a timeout?",
    "is it possible to set a timeout?",
    "set my timeout, thanks",
    "\uff53et\u3000a timeout\uff1f",
]

# No two questions of a line may count as one.
DIFFERENT = [
    ["convert string to datetime", "convert datetime to string"],
    ["migrate from 1.4 to 2.0", "migrate to 1.4 from 2.0", "migrate from 2.0 to 1.4"],
    ["migrate to v2", "migrate to v3", "migrate to 3", "migrate"],
    ["follow redirects", "do not follow redirects", "never follow redirects"],
    ["connect with tls", "connect without tls", "connect as tls", "connect tls"],
    ["validate before save", "validate after save", "validate save", "validate or save"],
    ["import into a table", "import from a table", "import a table"],
    ["read in a file", "read out a file", "read a file"],
    ["list of dicts", "dict of lists", "list to dict", "list vs dict"],
    ["any filter", "all filters", "no filter", "only filters", "all filters except one"],
    ["more than 5", "less than 5", "more than 6"],
    ["while loop", "do while loop"],
    ["hello world", "world"],
    ["filter is null", "filter is not null", "filter isn't undefined"],
    ["should I use it", "use it", "why use it", "when to use it"],
    ["use C++", "use C#", "use C", "use F#"],
    ["use .NET", "use net", "use __net__"],
    ["field_validator", "field validator", "fieldvalidator2"],
    ["useQuery", "useQueries", "useMutation"],
    ["useMatch", "useMatches"],
    ["what does ? mean", "what does ! mean", "what does - mean", "what does mean"],
    ["what is ??", "what is ?.", "what is .", "what is"],
    ["difference between == and ===", "difference between = and =="],
    ["difference between & and &&", "difference between | and ||"],
    ["a && b", "a || b", "a b"],
    ["save a record with save! here", "save a record with save here"],
    ["http requests", "https requests"],
    ["pandas news", "pandas new"],
    ["style the `a` tag", "style the tag"],
    ["what is `is`", "what is `a`", "what is"],
    ["1,000 rows", "1 000 rows"],
    ["arr[0]", "arr 0"],
    ["如何使用钩子", "如何使用状态"],
    ["как настроить", "как удалить"],
    ["كيف أستخدم", "كيف أحذف"],
]


@pytest.mark.parametrize("question", REWORDED)
def test_another_wording_is_the_same_question(question: str) -> None:
    assert content_words(question) == ("set", "timeout")


@pytest.mark.parametrize("questions", DIFFERENT, ids=" / ".join)
def test_another_meaning_is_another_question(questions: list[str]) -> None:
    keys = [content_words(question) or question_of(question) for question in questions]
    assert [pair for pair in combinations(keys, 2) if pair[0] == pair[1]] == []


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("How do I use useEffect()?", "use useeffect"),
        ("don't cache", "not cache"),
        ("do not cache", "not cache"),
        ("dont cache", "not cache"),
        ("you can\u2019t cache", "not cache"),
        ("cannot cache", "not cache"),
        ("you mustn't cache", "must not cache"),
        ("you must not cache", "must not cache"),
        ("why can't I connect?", "why not connect"),
        ("a model's schema, the models' schemas", "model schema model schema"),
        ("(see read_csv(path))", "see read_csv(path)"),
        ("call it (twice).", "call it twice"),
        ("pub/sub \u2013 with redis", "pub/sub with redis"),
        ("`useEffect`, `useState`", "useeffect usestate"),
        ("read x,b and 1,5", "read x b and 1,5"),
        ("many to many field", "many to many field"),
        ("what to do when it is down?", "do when it is down"),
        ("@app.get '/x'", "@app.get /x"),
        ("ﬁle names", "file name"),
        ("STRASSE straße", "strasse strasse"),
        ("", ""),
        ("How do I?", ""),
        ("please, what is the", ""),
        ("How would you please?!", ""),
    ],
)
def test_content_words_are_what_a_question_asks_in_its_order(question: str, words: str) -> None:
    assert content_words(question) == tuple(words.split())


@pytest.mark.parametrize(
    ("plural", "word"),
    [
        ("timeouts", "timeout"),
        ("classes", "class"),
        ("indexes", "index"),
        ("batches", "batch"),
        ("hashes", "hash"),
        ("queries", "query"),
        ("dependencies", "dependency"),
        ("aliases", "alias"),
        ("statuses", "status"),
        ("caches", "cache"),
        ("cookies", "cookie"),
        ("databases", "database"),
        ("apis", "api"),
        ("gpus", "gpu"),
        ("ids", "id"),
        ("users", "user"),
        ("settings", "setting"),
        ("schemas", "schema"),
    ],
)
def test_a_plural_has_a_singular(plural: str, word: str) -> None:
    assert singular(plural) == word
    assert singular(word) == word


@pytest.mark.parametrize(
    "word",
    [
        *("class", "redis", "status", "css", "https", "news", "this", "series", "analysis"),
        *("usematches", "getstaticprops", "v2s", "read_values", "naïves", "", "s"),
    ],
)
def test_what_is_no_plural_stays(word: str) -> None:
    assert singular(word) == word


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("How do I?", "how do i"),
        ("  HOW\n do I ?!", "how do i ?!"),
        ("What is ??", "what is ??"),
        ("???", "???"),
        ("", ""),
    ],
)
def test_a_question_without_content_is_its_own_normal_form(text: str, normal: str) -> None:
    assert question_of(text) == normal


@given(st.text(st.sampled_from("aAbs iIs?!.,'`(): to the don't C++ 1.4 =\u2019é")))
def test_the_wording_that_is_left_has_no_space_and_no_letter_case(question: str) -> None:
    words = content_words(question)
    assert all(words)
    assert all(len(word.split()) == 1 for word in words)
    assert content_words(question.upper()) == content_words(question.lower()) == words


@given(st.text())
def test_every_text_has_words_and_a_normal_form(text: str) -> None:
    assert all(content_words(text))
    assert question_of(question_of(text)) == question_of(text)


@pytest.mark.parametrize(
    "unit", ["please ", ")", "(", "'", "a'", "can't ", "a?", "`a` ", ", ", "s"]
)
def test_a_long_question_takes_no_time_to_speak_of(unit: str) -> None:
    started = time.process_time()
    content_words(unit * (200_000 // len(unit)))
    assert time.process_time() - started < 2


def test_recorded_questions_meet_in_another_wording_and_never_in_another_meaning() -> None:
    recorded = shared("data/questions-dev.jsonl").read_text(encoding="utf-8")
    pairs = [json.loads(line) for line in recorded.splitlines()]
    assert len(pairs) > 100
    for pair in pairs:
        words = content_words(pair["a"])
        assert pair["label"] == "same" or words != content_words(pair["b"]), pair
        assert content_words(f"How do I {pair['a'].upper().removeprefix('HOW TO ')}?") == words
        assert content_words(f"Please {pair['a'].title()}.") == words
