"""What a span says, in three vocabularies. Pure.

OpenTelemetry's conventions for MCP describe the call:
https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/mcp.md.
LangSmith makes its runs of the names on its mapping page ("Supported OpenTelemetry attribute and
event mapping"): https://docs.langchain.com/langsmith/trace-with-opentelemetry. How a call was
answered stands under `context7_fabric.*`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from context7_fabric.models import HITS, Answer

Value: TypeAlias = str | bool | int | float
Attributes: TypeAlias = dict[str, Value]

METHOD: Final = "mcp.method.name"
_PROTOCOL: Final = "mcp.protocol.version"
_REQUEST: Final = "jsonrpc.request.id"
CALL: Final = "tools/call"
RUN_KIND: Final = "langsmith.span.kind"
INPUT, OUTPUT = "input.value", "output.value"
OURS: Final = "context7_fabric."
_METADATA: Final = "langsmith.metadata."

_NAMES: Final = ("mcp.", "gen_ai.", _REQUEST, "error.type", "rpc.response.status_code")
_OF_OURS: Final = (OURS, "langsmith.", INPUT, OUTPUT)
_WORD: Final = re.compile(r"[\w.:/-]{1,64}", re.ASCII)
_SENT: Final = "MCP send "


def of_call(tool: str) -> Attributes:
    """Return what the SDK's span says of a call of `tool`, as far as the tool alone tells it."""
    return {METHOD: CALL, "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}


def of_request(request_id: str, protocol: str) -> Attributes:
    """Return what the SDK's span says of the message that a call came in, as `of_sdk` leaves it."""
    told = {_REQUEST: request_id, _PROTOCOL: protocol}
    return {key: value for key, value in told.items() if _WORD.fullmatch(value)}


def of_answer(answer: Answer) -> Attributes:
    """Return how a call was answered: for LangSmith as metadata, for others under our own name."""
    told: Attributes = {
        "cache_hit": answer.outcome in HITS,
        "outcome": answer.outcome.value,
        "tier": answer.tier.value,
        "tokens_saved": answer.tokens_saved,
        "execution_id": answer.execution_id,
    }
    ours = {OURS + name: value for name, value in told.items()}
    if answer.age_seconds is not None:
        ours[OURS + "age_seconds"] = round(answer.age_seconds, 3)
    return ours | {_METADATA + name: value for name, value in told.items()} | {RUN_KIND: "tool"}


def of_content(
    given: Mapping[str, object], answer: Answer, redacted: Callable[[str], str]
) -> Attributes:
    """Return a run's input and output: what was asked, which goes through `redacted`, and heard."""
    asked = {redacted(name): redacted(str(value)) for name, value in given.items()}
    return {INPUT: json.dumps(asked), OUTPUT: answer.text.encode(errors="replace").decode()}


def of_sdk(name: str, attributes: Mapping[str, object]) -> tuple[str, Attributes]:
    """Return name and attributes of a span that the SDK made, in the conventions' words.

    What a client may word as it likes stays only where it is a plain word, so no question passes.
    """
    method, _, target = name.removeprefix(_SENT).partition(" ")
    shown = {key: value for key, value in attributes.items() if _is_shown(key, value)}
    kept = {key: value for key, value in shown.items() if isinstance(value, Value)}
    method = method if _WORD.fullmatch(method) else "other"
    kept[METHOD] = method
    target = target if _WORD.fullmatch(target) else ""
    if method == CALL and target:
        kept |= of_call(target)
    kept.setdefault(RUN_KIND, "tool" if method == CALL else "chain")
    return f"{method} {target}".rstrip(), kept


def _is_shown(key: str, value: object) -> bool:
    if key.startswith(_OF_OURS):
        return True
    return key.startswith(_NAMES) and _WORD.fullmatch(str(value)) is not None
