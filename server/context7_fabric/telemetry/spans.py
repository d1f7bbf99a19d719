"""Spans for the receivers, made of answered calls or of the SDK's spans.

Of the SDK's spans only attributes without a question stay: their status and their exceptions may
quote one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status

from context7_fabric.models import HITS, RESOLVE, Answer, Tier, TracedStep

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
    """Return the attributes that the SDK's span of a call has because of its tool."""
    return {METHOD: CALL, "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}


def of_request(request_id: str, protocol: str) -> Attributes:
    """Return the attributes of the request that a call came in, as `of_sdk` leaves them."""
    attributes = {_REQUEST: request_id, _PROTOCOL: protocol}
    return {key: value for key, value in attributes.items() if _WORD.fullmatch(value)}


def of_answer(answer: Answer) -> Attributes:
    """Return the attributes of an answer: as metadata for LangSmith, with our prefix for others."""
    shared: Attributes = {
        "cache_hit": answer.outcome in HITS,
        "outcome": answer.outcome.value,
        "tier": answer.tier.value,
        "tokens_saved": answer.tokens_saved,
        "execution_id": answer.execution_id,
    }
    ours = {OURS + name: value for name, value in shared.items()}
    if answer.age_seconds is not None:
        ours[OURS + "age_seconds"] = round(answer.age_seconds, 3)
    return ours | {_METADATA + name: value for name, value in shared.items()} | {RUN_KIND: "tool"}


def of_content(
    given: Mapping[str, object], answer: Answer, redacted: Callable[[str], str]
) -> Attributes:
    """Return a run's input, which goes through `redacted`, and its output."""
    asked = {redacted(name): redacted(str(value)) for name, value in given.items()}
    return {INPUT: json.dumps(asked), OUTPUT: answer.text.encode(errors="replace").decode()}


def of_sdk(name: str, attributes: Mapping[str, object]) -> tuple[str, Attributes]:
    """Return the name and attributes of the SDK's span by OpenTelemetry's conventions.

    A value that a client may choose stays only if it is a plain word, so no question passes.
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


_STORED: Final = frozenset({Tier.NAME, Tier.ALIAS, Tier.LEARNED, Tier.PIN, Tier.QUESTION})
_LOCAL: Final = frozenset({Tier.DOCSET, Tier.SNIPPETS, Tier.SEED, Tier.LOCAL})


@dataclass(frozen=True, slots=True)
class Stage:
    """Time spent in one tier, in milliseconds since the call began."""

    tier: Tier
    begun: float
    ended: float


def stages(
    tool: str, tier: Tier, steps: Iterable[tuple[str, float]], ended: float
) -> tuple[Stage, ...]:
    """Return the tiers that a call of `tool` went through, which `tier` answered at `ended`.

    The order is the store, upstream, then what is known without either.
    """
    steps = [step for step in steps if step[0] is not TracedStep.ANSWERED]
    if not steps:
        return (Stage(tier, 0.0, ended),)
    found = [Stage(_store(tool, tier), 0.0, steps[0][1])]
    found += [
        Stage(Tier.UPSTREAM, at, _next(steps, number, ended))
        for number, (what, at) in enumerate(steps)
        if what in (TracedStep.ASKED, TracedStep.JOINED)
    ]
    if tier in _LOCAL:
        found.append(Stage(tier, steps[-1][1], ended))
    return tuple(found)


def _store(tool: str, tier: Tier) -> Tier:
    """Return the tier of the look-up in the store: the one that answered if it is stored."""
    if tier in _STORED:
        return tier
    return Tier.NAME if tool == RESOLVE else Tier.QUESTION


def _next(steps: Sequence[tuple[str, float]], number: int, ended: float) -> float:
    return steps[number + 1][1] if number + 1 < len(steps) else ended


_IDS = RandomIdGenerator()
_NS_A_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """Tool call that was answered after `took` milliseconds, at `ended` (nanoseconds, epoch).

    `context` is that of its server span. The SDK makes the span if it sees the call; otherwise
    `request_id` and the version of the `protocol` are known.
    """

    context: SpanContext
    tool: str
    given: Mapping[str, object]
    answer: Answer
    steps: Sequence[tuple[str, float]]
    took: float
    ended: int
    request_id: str = ""
    protocol: str = ""

    def at(self, milliseconds: float) -> int:
        """Return a moment of the call on the clock of `ended`."""
        return self.ended - int((self.took - milliseconds) * _NS_A_MS)


@dataclass(frozen=True, slots=True)
class SdkSpan:
    """Ended span of the SDK, and its tool call if it is of one."""

    span: ReadableSpan
    call: AnsweredCall | None


def new_context() -> SpanContext:
    """Return the context of a new trace's first span."""
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(_IDS.generate_trace_id(), _IDS.generate_span_id(), False, sampled)  # noqa: FBT003  # is_remote, by position only


Describe: TypeAlias = Callable[[Mapping[str, object], Answer], Attributes]
"""Returns a span's attributes for a tool's arguments and answer."""


@dataclass(frozen=True, slots=True)
class SpanMaker:
    """Factory of the spans of one program, which `resource` describes and `scope` names.

    `sampler` picks the traced ones of the calls that the SDK has not seen.
    """

    resource: Resource
    scope: InstrumentationScope
    sampler: Sampler
    describe: Describe

    def spans_of(self, item: AnsweredCall | SdkSpan) -> list[ReadableSpan]:
        """Return the server span of a call and one for each tier.

        The SDK's span is the server span of a call that it has seen, without what may quote a
        question.
        """
        if isinstance(item, SdkSpan):
            return [self._cleaned(item), *(self._tiers(item.call) if item.call else ())]
        return [self._server(item), *self._tiers(item)] if self._is_sampled(item) else []

    def _cleaned(self, seen: SdkSpan) -> ReadableSpan:
        span, call = seen.span, seen.call
        name, attributes = of_sdk(span.name, span.attributes or {})
        return ReadableSpan(
            name,
            span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=attributes | (self.describe(call.given, call.answer) if call else {}),
            kind=span.kind,
            status=Status(span.status.status_code),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def _is_sampled(self, call: AnsweredCall) -> bool:
        name = f"{CALL} {call.tool}"
        result = self.sampler.should_sample(None, call.context.trace_id, name, SpanKind.SERVER)
        return result.decision is Decision.RECORD_AND_SAMPLE

    def _server(self, call: AnsweredCall) -> ReadableSpan:
        return ReadableSpan(
            f"{CALL} {call.tool}",
            call.context,
            resource=self.resource,
            attributes=of_call(call.tool)
            | of_request(call.request_id, call.protocol)
            | self.describe(call.given, call.answer),
            kind=SpanKind.SERVER,
            start_time=call.at(0),
            end_time=call.ended,
            instrumentation_scope=self.scope,
        )

    def _tiers(self, call: AnsweredCall) -> list[ReadableSpan]:
        passed = stages(call.tool, call.answer.tier, call.steps, call.took)
        return [self._tier(call, stage) for stage in passed]

    def _tier(self, call: AnsweredCall, stage: Stage) -> ReadableSpan:
        tier, above = stage.tier.value, call.context
        span_id = _IDS.generate_span_id()
        return ReadableSpan(
            f"tier {tier}",
            SpanContext(above.trace_id, span_id, False, above.trace_flags, above.trace_state),  # noqa: FBT003  # as above
            parent=above,
            resource=self.resource,
            attributes={OURS + "tier": tier, RUN_KIND: "retriever"},
            start_time=call.at(stage.begun),
            end_time=call.at(stage.ended),
            instrumentation_scope=self.scope,
        )


def is_of_a_call(span: ReadableSpan) -> bool:
    """Return whether a span is a tool call, or has a parent: no handshake, listing or ping."""
    return span.parent is not None or (span.attributes or {}).get(METHOD) == CALL
