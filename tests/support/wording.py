"""What 4.1.1 tells its client after each of `faults.FAILURES`, word for word.

The integration tests hold the real server to this table, so that tests of our own server may use it
without node. It is read with `after` and compared with `matches`.
"""

import json

from support.faults import FAILURES, Endpoint

ANONYMOUS_LIMIT = (
    "Rate limited or quota exceeded. Create a free API key at https://context7.com/dashboard"
    " for higher limits."
)
KEYED_LIMIT = (
    "Rate limited or quota exceeded. Upgrade your plan at https://context7.com/plans"
    " for higher limits."
)
NO_SUCH_LIBRARY = (
    "The library you are trying to access does not exist. Please try with a different library ID."
)
BAD_KEY = "Invalid API key. Please check your API key. API keys should start with 'ctx7sk' prefix."
SEARCHING = "Error searching libraries: "
FETCHING = "Error fetching library context. Please try again later. "

# For a search and for docs, where the server does not just repeat the API's message. "…" stands
# for what may follow: it depends on the version of node, or says nothing more.
SAID: dict[str, tuple[str, str]] = {
    "rate limited": (ANONYMOUS_LIMIT, ANONYMOUS_LIMIT),
    "rate limited, with Retry-After": (ANONYMOUS_LIMIT, ANONYMOUS_LIMIT),
    "invalid key": (BAD_KEY, BAD_KEY),
    "library missing, wordless": (NO_SUCH_LIBRARY, NO_SUCH_LIBRARY),
    "gateway time-out": ("Request failed with status 504. Please try again later.",) * 2,
    "wordless": ("Request failed with status 500. Please try again later.",) * 2,
    "empty": (
        SEARCHING + "SyntaxError: Unexpected end of JSON input",
        "Documentation not found or not finalized for this library. …",
    ),
    "HTML page": (
        SEARCHING + "SyntaxError: …",
        "<!doctype html><title>Sign in</title><p>Hotel Wi-Fi",
    ),
    "binary": (SEARCHING + "SyntaxError: …", "\x00\x01\x02\x03…"),
    "closed": (SEARCHING + "TypeError: fetch failed", FETCHING + "TypeError: fetch failed"),
    "closed halfway": (SEARCHING + "TypeError: terminated", FETCHING + "TypeError: terminated"),
}


def after(failure: str, endpoint: Endpoint, subject: str) -> str:
    """The text for an anonymous caller, by the failure's name; "…" at the end is an open end."""
    own = FAILURES[failure].said(subject)
    if failure == "not finalized" and own:
        # Status 202 counts as success there: a search shows the code, docs are the raw body.
        raw = json.dumps({"error": FAILURES[failure].code, "message": own})
        return raw if endpoint == "docs" else "library_not_finalized"
    return own or SAID[failure][0 if endpoint == "search" else 1]


def matches(text: str, expected: str) -> bool:
    """Whether a text is the expected one, or begins like it where the end is open."""
    if expected.endswith("…"):
        return text.startswith(expected[:-1])
    return text == expected
