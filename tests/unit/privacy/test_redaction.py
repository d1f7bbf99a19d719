"""What must not leave the machine in a question, and what a question must not lose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.privacy.redaction import LONGEST_CLEAN, MOST_CLEAN, clean_texts, redact

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


def test_only_harmless_texts_are_remembered_and_not_too_many() -> None:
    redact(f"why is sk-proj-{LETTERS}")
    redact("x" * (LONGEST_CLEAN + 1))
    for number in range(2 * MOST_CLEAN):
        redact(f"question {number}")
    assert "question 1023" in clean_texts
    assert len(clean_texts) <= MOST_CLEAN
    assert not any("sk-proj" in text or len(text) > LONGEST_CLEAN for text in clean_texts)


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
