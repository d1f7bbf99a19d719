"""Where traces go, and how much they tell."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LangSmithTarget:
    """LangSmith: the `url` that takes its traces, and the project they go to (None: its default).

    The key is sent along, and shown nowhere.
    """

    url: str
    api_key: str = field(repr=False)
    project: str | None = None


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Who gets the traces: nobody, LangSmith, an OTLP receiver, or both of them.

    `otlp` is the receiver that OpenTelemetry's own variables name, which say the rest about it to
    OpenTelemetry itself; `service` is what they call this program. With `content` questions and
    answers stand in the traces. A `problem` is why nobody gets any.
    """

    langsmith: LangSmithTarget | None = None
    otlp: str | None = None
    service: str = "context7-fabric"
    content: bool = False
    problem: str | None = None

    @property
    def wanted(self) -> bool:
        """Tell whether anybody gets traces."""
        return self.langsmith is not None or self.otlp is not None
