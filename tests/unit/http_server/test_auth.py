"""Identity of a request, from its headers: the token, the Context7 key, or neither."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.errors import AccessDenied, UnusableKey
from context7_fabric.http_server.auth import KEY_HEADERS, Authenticator, Identity
from context7_fabric.http_server.token_file import TokenFile

OPEN = Authenticator(None)
ALL_HEADERS = ("authorization", *KEY_HEADERS)
HEADER_TEXT = st.text(st.characters(max_codepoint=255), max_size=80)
BEARER_TEXT = HEADER_TEXT.map("Bearer ".__add__)


@pytest.fixture
async def tokens(tmp_path: Path) -> tuple[Authenticator, str]:
    """Access for those who have a token, and the token of ci."""
    file = TokenFile(tmp_path / "tokens")
    return Authenticator(file), await anyio.to_thread.run_sync(file.add, "ci")


class TestWithoutTokens:
    async def test_identify_without_headers_accepts(self) -> None:
        assert await OPEN.identify({}) == Identity(None, None)

    @pytest.mark.parametrize("header", ALL_HEADERS)
    async def test_a_key_is_taken_from_every_header_where_context7_takes_one(
        self, header: str
    ) -> None:
        assert await OPEN.identify({header: " key "}) == Identity(None, "key")

    @pytest.mark.parametrize(("first", "second"), list(pairwise(ALL_HEADERS)))
    async def test_the_earlier_header_counts_unless_it_is_empty(
        self, first: str, second: str
    ) -> None:
        assert (await OPEN.identify({second: "two", first: "one"})).api_key == "one"
        assert (await OPEN.identify({second: "two", first: " "})).api_key == "two"

    @pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  ", "Bearer\t", ""])
    async def test_the_scheme_is_no_part_of_the_key(self, scheme: str) -> None:
        assert (await OPEN.identify({"authorization": f"{scheme}key"})).api_key == "key"

    @pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "bearer\t"])
    async def test_a_scheme_without_a_key_is_none(self, value: str) -> None:
        assert (await OPEN.identify({"authorization": value})).api_key is None

    @pytest.mark.parametrize(
        "value",
        [
            "Basic dXNlcjpwYXNz",
            "basic  dXNlcjpwYXNz",
            'Digest username="a b", realm="c"',
            "Negotiate YII=",
            "NTLM TlRM",
        ],
    )
    async def test_authorization_of_another_scheme_is_no_key(self, value: str) -> None:
        assert (await OPEN.identify({"authorization": value})).api_key is None
        both = {"authorization": value, "x-api-key": "key"}
        assert (await OPEN.identify(both)).api_key == "key"

    async def test_a_key_may_begin_like_a_scheme(self) -> None:
        assert (await OPEN.identify({"authorization": "bearerkey"})).api_key == "bearerkey"

    @pytest.mark.parametrize("header", ALL_HEADERS)
    @pytest.mark.parametrize("value", ["a b", "a\x00b", "a\x7f", "schlüssel", "\xa0", "a\tb"])
    async def test_identify_with_an_unusable_key_refuses_it(self, header: str, value: str) -> None:
        with pytest.raises(UnusableKey) as raised:
            await OPEN.identify({header: value})
        assert value not in str(raised.value)

    async def test_a_token_of_ours_is_never_passed_on_as_a_key(self) -> None:
        with pytest.raises(UnusableKey, match="is not passed on"):
            await OPEN.identify({"authorization": "Bearer c7f_abc"})


class TestWithTokens:
    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
    async def test_identify_with_a_token_returns_its_name_and_no_key(
        self, tokens: tuple[Authenticator, str], scheme: str
    ) -> None:
        access, token = tokens
        headers = {"authorization": f"{scheme} {token}"}
        assert await access.identify(headers) == Identity("ci", None)

    async def test_the_key_comes_in_the_other_headers(
        self, tokens: tuple[Authenticator, str]
    ) -> None:
        access, token = tokens
        for header in KEY_HEADERS:
            visitor = await access.identify({"authorization": f"Bearer {token}", header: "key"})
            assert visitor == Identity("ci", "key")

    @pytest.mark.parametrize(
        "authorization",
        ["", "Bearer", "Bearer ", "{token}", "Basic {token}", "Bearer {token}x", "Bearer x"],
    )
    async def test_identify_without_a_known_token_denies_access(
        self, tokens: tuple[Authenticator, str], authorization: str
    ) -> None:
        access, token = tokens
        with pytest.raises(AccessDenied) as refused:
            await access.identify({"authorization": authorization.format(token=token)})
        assert "`context7-fabric token add NAME`" in str(refused.value)
        assert token not in str(refused.value)

    @pytest.mark.parametrize("header", KEY_HEADERS)
    async def test_identify_with_a_token_in_a_key_header_denies_access_or_refuses_the_key(
        self, tokens: tuple[Authenticator, str], header: str
    ) -> None:
        access, token = tokens
        with pytest.raises(AccessDenied):
            await access.identify({header: token})
        with pytest.raises(UnusableKey):
            await access.identify({"authorization": f"Bearer {token}", header: token})

    async def test_identify_without_a_token_and_with_an_unusable_key_denies_access_first(
        self, tokens: tuple[Authenticator, str]
    ) -> None:
        with pytest.raises(AccessDenied):
            await tokens[0].identify({"x-api-key": "a b"})

    async def test_identify_without_the_file_denies_access(self, tmp_path: Path) -> None:
        with pytest.raises(AccessDenied):
            await Authenticator(TokenFile(tmp_path / "none")).identify(
                {"authorization": "Bearer x"}
            )


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Authenticator:
    """Access where the clock stands still: the file is read once."""
    file = TokenFile(tmp_path_factory.mktemp("home") / "tokens", lambda: 0.0)
    file.add("ci")
    return Authenticator(file)


@given(st.dictionaries(st.sampled_from(ALL_HEADERS), HEADER_TEXT | BEARER_TEXT))
def test_identify_of_any_headers_without_a_token_denies_access(
    closed: Authenticator, headers: dict[str, str]
) -> None:
    with pytest.raises(AccessDenied):
        anyio.run(closed.identify, headers)


@given(st.dictionaries(st.sampled_from(ALL_HEADERS), HEADER_TEXT))
def test_a_key_that_is_taken_can_be_sent_in_a_header(headers: dict[str, str]) -> None:
    try:
        key = anyio.run(OPEN.identify, headers).api_key
    except UnusableKey:
        return
    assert key is None or (key.isascii() and key.isprintable() and key == "".join(key.split()))


def test_identity_as_text_leaves_out_the_key() -> None:
    assert repr(Identity("ci", "secret")) == "Identity(name='ci')"
