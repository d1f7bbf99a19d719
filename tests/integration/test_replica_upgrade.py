"""Two versions on one Redis during an upgrade: they read each other's entries, or miss them."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest

import context7_fabric
from context7_fabric.fabric.backend import BackendEntry, WriteRequest
from context7_fabric.fabric.backends.redis.backend import RedisBackend
from context7_fabric.fabric.codec import FORMAT, decode, encode
from context7_fabric.fabric.context import Context, Scope
from context7_fabric.fabric.search import EmbeddedContext
from context7_fabric.fabric.vector_index_memory import StoredVectors
from contracts.entries import everything
from support.client import FASTAPI, asked, call, outcome_of, result_of
from support.context7_api import Api
from support.product import Variables, run_product
from support.redis_servers import RedisServer, redis_server
from support.replicas import Callers, Replica, answers, on_redis, replica_of, replicas, text_of

VERSION = "9.9.9"
TIMEOUT = 30.0
QUESTION, MOVED = "What is new in this version?", "/old/fastapi"
LOOK_UP = {"libraryName": "fastapi", "query": QUESTION}
NOTE = {"key": "note:bread", "scope": "USER"}
PROMPT = {"key": "prompt:use-library", "scope": "GLOBAL"}
GET_PROMPT = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "prompts/get",
    "params": {"name": "use-library", "arguments": {"library": "fastapi", "task": "it"}},
}
KINDS = {
    "GLOBAL/docs:",
    "GLOBAL/list:",
    "GLOBAL/row:",
    "GLOBAL/rows:",
    "GLOBAL/choice:",
    "GLOBAL/move:",
    "GLOBAL/upstream:",  # its tools
    "GLOBAL/meter:",
    "GLOBAL/prompt:",
    "USER/note:",
    "EXECUTION/execution:",
    "FEEDBACK/feedback:",
}
"""Prefixes of the keys of all kinds of records."""

Change: TypeAlias = Callable[[Context], bytes]
"""Encoding that another version would store in place of a context."""


def of_another_format(context: Context) -> bytes:
    """Encode a context as a version with another entry format would."""
    return encode(context).replace(b'{"format":%d,' % FORMAT, b'{"format":%d,' % (FORMAT + 1), 1)


def of_another_form(context: Context) -> bytes:
    """Encode a context as a version with other records in the same format would."""
    if context.key.startswith(("note:", "prompt:")):  # what people write has no form of ours
        return of_another_format(context)
    return encode(replace(context, value={"newer": context.value}))


@dataclass(frozen=True)
class Stored:
    """Records of every kind, and the results of the calls that made them."""

    entries: Sequence[BackendEntry]
    listed: str
    execution: str


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def variables(by_http: Variables, redis: RedisServer) -> dict[str, str]:
    return on_redis(by_http, redis.patient_url)


@pytest.fixture(scope="module")
def this(variables: Variables, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica of this version."""
    with replicas(tmp_path_factory.mktemp("this"), variables) as (replica,):
        yield replica


@pytest.fixture(scope="module")
def stored(shared_api: Api, this: Replica, redis: RedisServer) -> Stored:
    """Store records of every kind with this version."""
    shared_api.redirects[MOVED] = FASTAPI
    results = stored_every_kind(this)
    this.stop()  # which writes what is not written yet
    entries = anyio.run(all_of, redis.url)
    assert {kind(each) for each in entries} >= KINDS
    return Stored(entries, *results)


@pytest.fixture(scope="module", params=[of_another_format, of_another_form])
def upgraded(
    request: pytest.FixtureRequest, this: Replica, stored: Stored, redis: RedisServer
) -> Iterator[Stored]:
    """The same as another version would store it, in Redis, and `this` before it."""
    this.stop()
    redis.cli("FLUSHALL")
    anyio.run(put_changed, redis.url, stored.entries, request.param)
    this.start()
    yield stored
    assert "Traceback" not in this.log


def test_what_another_version_wrote_by_hand_and_recorded_is_not_there(
    this: Replica, upgraded: Stored
) -> None:
    assert text_of(this.call("fabric-get", **NOTE)).startswith("there is no ")
    assert this.call("record-feedback", executionId=upgraded.execution, rating=5)["isError"]
    prompt = result_of(asked(this.served, message=GET_PROMPT))["messages"][0]["content"]
    assert prompt["text"].startswith("Do this with fastapi")


def test_what_another_version_counted_is_not_counted(this: Replica, upgraded: Stored) -> None:
    environment = this.environment
    stats = run_product("stats", "--json", env=environment)
    figures = json.loads(stats.stdout)
    assert (figures["calls_this_month"], figures["records"]["calls"]) == (0, 0)


def test_entries_of_another_format_are_warned_of_but_not_each(
    this: Replica, upgraded: Stored
) -> None:
    for entry in (NOTE, PROMPT):
        assert text_of(this.call("fabric-get", **entry)).startswith("there is no ")
    log = this.served.process.err
    log.wait_for("not of a format this version reads")
    assert log.text.count("not of a format this version reads") == 1, log.text


def test_what_another_version_fetched_is_fetched_anew_and_then_a_hit(
    api: Api, this: Replica, upgraded: Stored
) -> None:
    api.redirects[MOVED] = FASTAPI
    found = this.call("resolve-library-id", **LOOK_UP)
    assert (outcome_of(found), text_of(found)) == ("miss", upgraded.listed)
    for expected in ("miss", "hit"):
        result = this.call("query-docs", libraryId=MOVED, query=QUESTION)
        assert answers(result, QUESTION)
        assert outcome_of(result) == expected
    assert outcome_of(this.ask(QUESTION)) == "hit"
    assert outcome_of(this.call("resolve-library-id", **LOOK_UP)) == "hit"


def stored_every_kind(replica: Replica) -> tuple[str, str]:
    """Have a replica store a record of every kind; a look-up's text, and an execution's id."""
    listed = text_of(in_session(replica, "resolve-library-id", **LOOK_UP))
    in_session(replica, "query-docs", libraryId=FASTAPI, query=QUESTION)
    replica.call("query-docs", libraryId=MOVED, query=QUESTION)
    answer = replica.ask(QUESTION)
    assert outcome_of(answer) == "hit"
    execution = str(answer["_meta"]["context7-fabric/answer"]["execution_id"])
    replica.call("record-feedback", executionId=execution, rating=5)
    replica.call("fabric-set", value="flour", **NOTE)
    replica.call("fabric-set", value="Just do it.", **PROMPT)
    assert text_of(replica.call("resolve-library-id", **LOOK_UP)) != listed  # one is chosen
    return listed, execution


def in_session(replica: Replica, tool: str, **arguments: object) -> dict[str, Any]:
    """The result of a call that belongs with the others of one session."""
    session = {"mcp-session-id": "upgrade"}
    message = call(tool, **arguments)
    result: dict[str, Any] = result_of(asked(replica.served, headers=session, message=message))
    return result


async def all_of(url: str) -> list[BackendEntry]:
    """Everything in a Redis."""
    backend = RedisBackend(url, timeout=TIMEOUT)
    entries = await everything(backend, "", page=500)
    await backend.aclose()
    return entries


async def put_changed(url: str, entries: Sequence[BackendEntry], change: Change) -> None:
    """Store the contexts among `entries` as a change makes them."""
    backend = RedisBackend(url, timeout=TIMEOUT)
    for key, data, _version in entries:
        scope, _, name = key.partition("/")
        if scope in {*Scope}:
            context = decode(name, Scope(scope), data)
            await backend.write([WriteRequest(key, change(context), context.created_at)])
    await backend.aclose()


def kind(entry: BackendEntry) -> str:
    """Return the prefix of the keys of its kind."""
    return f"{entry.key.partition(':')[0]}:"


async def test_vectors_of_another_format_are_made_again(redis: RedisServer) -> None:
    backend = RedisBackend(redis.url, timeout=TIMEOUT)
    stored = StoredVectors(backend, Scope.GLOBAL, "model", 2)
    await stored.put([EmbeddedContext(Context("key", 1, Scope.GLOBAL, 0.0), [0.25, 0.5])])
    assert (await stored.get_many(["key"]))["key"].vector == [0.25, 0.5]
    (entry,) = (await backend.items("vector/", None, 2))[0]
    other = json.dumps({**json.loads(entry.value), "format": 2}).encode()
    await backend.write([WriteRequest(entry.key, other)])
    assert await stored.get_many(["key"]) == {}
    await backend.aclose()


@pytest.mark.either_mode
def test_another_version_with_the_same_format_shares_all(
    api: Api, this: Replica, variables: Variables, tmp_path: Path
) -> None:
    with replica_of(another_version(tmp_path), tmp_path / "home", variables) as other:
        assert run_product("--version", env=other.environment).stdout.strip() == VERSION
        for one, two, key in ((this, other, None), (other, this, "ctx7sk-ann")):
            question = f"What does {one.home} ask?"
            assert outcome_of(one.ask(question, key)) == "miss"
            assert outcome_of(two.ask(question, key)) == "hit"


async def test_two_versions_with_different_formats_misread_nothing_under_load(
    api: Api, this: Replica, variables: Variables, tmp_path: Path
) -> None:
    package = another_version(tmp_path, FORMAT + 1)
    with replica_of(package, tmp_path / "home", variables) as other:
        callers = Callers([this, other])
        async with callers.calling():
            await callers.made(150)
        assert callers.lost == []
        assert {"miss", "hit"} <= set(callers.outcomes) <= {"miss", "hit", "coalesced"}
    assert "Traceback" not in this.log + other.log


def test_announcements_in_another_format_are_ignored(
    api: Api, this: Replica, redis: RedisServer
) -> None:
    question = "What is new?"
    this.ask(question)
    (channel,) = redis.cli("PUBSUB", "CHANNELS").splitlines()
    for message in ('{"format": 2}', "[1, [2]]", '["who"]', "null", "no JSON", "", "[" * 9999):
        assert redis.cli("PUBLISH", channel, message) == "1"
        assert outcome_of(this.ask(question)) == "hit"
    assert redis.cli("PUBLISH", channel, "the last") == "1"
    assert "Traceback" not in this.log


def another_version(folder: Path, format_: int = FORMAT) -> Path:
    """Copy the package as a newer version, with the given format, and return its source root."""
    package = Path(context7_fabric.__file__).parent
    copied = folder / "server" / package.name
    shutil.copytree(package, copied)
    (folder / "seeds").symlink_to(package.parents[1] / "seeds")
    edited(copied / "version.py", context7_fabric.__version__, VERSION)
    edited(copied / "fabric" / "codec.py", f"FORMAT = {FORMAT}", f"FORMAT = {format_}")
    return copied.parent


def edited(path: Path, old: str, new: str) -> None:
    """Put one text in another's place in a file that has it."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
