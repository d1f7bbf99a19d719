"""Redaction takes secrets and home folders out of texts, and leaves other texts alone."""

import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.privacy.redaction import _RULES, _combined, _tag, redact

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@pytest.mark.parametrize(
    ("secret", "kind"),
    [
        ("sk-proj-" + LETTERS, "[api-key]"),
        ("sk-ant-" + LETTERS, "[api-key]"),
        ("ctx7sk-" + LETTERS, "[api-key]"),
        ("AKIAIOSFODNN7EXAMPLE", "[api-key]"),
        ("ghp_" + LETTERS, "[api-key]"),
        ("github_pat_" + LETTERS, "[api-key]"),
        ("glpat-" + LETTERS[:20], "[api-key]"),
        ("xoxb-1234567890-" + LETTERS[:12], "[api-key]"),
        ("AIza" + LETTERS, "[api-key]"),
        ("hf_" + LETTERS[:30], "[api-key]"),
        ("sk_live_" + LETTERS[:20], "[api-key]"),
        ("lsv2_pt_" + LETTERS, "[api-key]"),
        (f"eyJ{LETTERS[:12]}.eyJ{LETTERS[:12]}.{LETTERS[:12]}", "[jwt]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----", "[private-key]"),
        ("-----BEGIN PRIVATE KEY-----\ncut short", "[private-key]"),
    ],
)
def test_a_secret_is_replaced_by_its_kind(secret: str, kind: str) -> None:
    assert redact(f"why is {secret}") == f"why is {kind}"


def test_a_text_asked_for_again_is_redacted_again() -> None:
    for _ in range(2):
        assert redact("plain words") == "plain words"
        assert redact(f"sk-proj-{LETTERS}") == "[api-key]"


class Text(str):
    """Text whose end can be watched."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("text", ["plain words", f"why is sk-proj-{LETTERS}"])
def test_redact_keeps_no_text_after_the_call(text: str) -> None:
    question = Text(text)
    alive = weakref.ref(question)
    redact(question)
    del question
    assert alive() is None


PARTS = (
    f"sk-|AKIA|ASIA|{LETTERS}|ABCDEF1234567890|gho_|xoxb-|SG.|hf_|Bearer |eyJ|.|password=|Secret: "
    "|API_KEY=|apikey: |access_token=|pa\u017f\u017fwd=|hunter22|://|bob:|@|/home/|/Users/|C:\\Users\\"
    "|/root|/|al| |-----BEGIN RSA PRIVATE KEY-----|-----END PRIVATE KEY-----|sk_live_|k_test_|\n"
).split("|")


@given(st.lists(st.sampled_from(PARTS), max_size=9).map("".join))
def test_a_rule_is_skipped_only_where_it_matches_nothing(text: str) -> None:
    assert redact(text) == _combined(_RULES).sub(_tag, text)


def test_only_the_secret_part_goes() -> None:
    assert redact("psql postgres://bob:hunter22@db/app") == "psql postgres://[password]@db/app"
    assert redact(f"Authorization: Bearer {LETTERS}") == "Authorization: Bearer [bearer-token]"
    assert redact("login with password=hunter2222 fails") == "login with password=[password] fails"


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("/home/alice/app/main.py", "~/app/main.py"),
        ("/Users/alice/app", "~/app"),
        (r"C:\Users\alice\app", r"~\app"),
        ("/root/app", "~/app"),
    ],
)
def test_a_home_folder_is_shortened(path: str, left: str) -> None:
    assert redact(f"import fails in {path}") == f"import fails in {left}"


@pytest.mark.parametrize(
    "question",
    [
        "How do I set the api_key: parameter of the client?",
        "password reset flow with a token",
        "read secret= from os.environ['SECRET']",
        "Bearer authentication in FastAPI",
        "skip-to-content link",
        "router /home and /users pages",
        "connect to redis://localhost:6379",
        "https://user.example/path",
    ],
)
def test_a_question_about_secrets_stays_as_it_is(question: str) -> None:
    assert redact(question) == question


@given(st.text())
def test_what_was_redacted_once_is_not_changed_again(text: str) -> None:
    assert redact(redact(text)) == redact(text)
