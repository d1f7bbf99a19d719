"""Bodies of the REST API: forms of requests, and replies. Docstrings are part of its OpenAPI."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from context7_fabric.answers.library_choice import UNKNOWN
from context7_fabric.registry.rows import COLLECTION
from context7_fabric.views.libraries import RankedBy

MOST_RESULTS = 50
MOST_DOCUMENTS = 100
MOST_ALIASES = 50
LONGEST_NAME = 214
LONGEST_ID = 512
LONGEST_TEXT = 4_000
MAX_PAGE = 10
MOST_PROBLEMS = 5
"""Problems of one request that its error names."""

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
CollectionName = Annotated[str, Field(max_length=LONGEST_NAME)]


def _whole(given: object) -> object:
    """Return a whole number as JSON means it: 5.0 is the same as 5."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


Whole = Annotated[int, BeforeValidator(_whole)]


class RequestForm(BaseModel):
    """A request's body; unknown fields are ignored."""

    model_config = ConfigDict(strict=True, frozen=True)


class Filter(RequestForm):
    """Metadata that a result has to equal; `aliases` is one of the result's aliases."""

    model_config = ConfigDict(extra="forbid")

    library_name: Text = ""
    library_id: Text = ""
    aliases: Text = ""
    category: Text = ""
    ecosystem: Text = ""
    description: Text = ""
    last_verified: Text = ""
    usage_count: Whole = 0
    source: Text = ""


class QueryForm(RequestForm):
    """A query for libraries by name or purpose; an empty one returns the most used."""

    query: Text
    collection: CollectionName = COLLECTION
    n_results: Whole = Field(default=5, ge=1, le=MOST_RESULTS)
    metadata_filter: Filter = Filter()


class DocsForm(RequestForm):
    """A question about a library, by its id or a name that means one library exactly.

    Without `upstream`, only a docset that is held here answers.
    """

    library: Annotated[str, Field(min_length=1, max_length=LONGEST_ID)]
    query: Text = ""
    mode: Literal["code", "info"] | None = None
    page: Whole = Field(default=1, ge=1, le=MAX_PAGE)
    tokens: Whole | None = Field(default=None, ge=1)
    upstream: bool = True


class Entry(RequestForm):
    """Metadata of one library to store; other fields of an existing row stay as they are."""

    library_name: Name
    library_id: Annotated[
        str,
        Field(
            max_length=LONGEST_ID,
            description="as Context7 writes it: /org/project; a version behind it is dropped",
        ),
    ]
    aliases: list[Name] = Field(default=[], max_length=MOST_ALIASES)
    category: Name = UNKNOWN


class IndexForm(RequestForm):
    """Libraries to store, in lists of equal length; the searched text is made of `metadatas`."""

    documents: list[Text] = Field(min_length=1, max_length=MOST_DOCUMENTS)
    metadatas: list[Entry] = Field(min_length=1, max_length=MOST_DOCUMENTS)
    ids: list[Name] = Field(min_length=1, max_length=MOST_DOCUMENTS)
    collection: CollectionName = COLLECTION

    @model_validator(mode="after")
    def _parallel(self) -> Self:
        if not len(self.documents) == len(self.metadatas) == len(self.ids):
            raise ValueError("documents, metadatas and ids differ in length")
        return self


class Metadata(BaseModel):
    """Metadata of a library; `last_verified` is in ISO 8601, empty where it was never verified."""

    library_name: str
    library_id: str
    aliases: list[str]
    category: str
    ecosystem: str
    description: str
    last_verified: str
    usage_count: int
    source: str


class Result(BaseModel):
    """A library that the query may mean; `relevance_score` 1 is an exact match."""

    id: str
    document: str
    metadata: Metadata
    relevance_score: float = Field(ge=0, le=1)
    ranked_by: RankedBy


class QueryReply(BaseModel):
    """Results, the best first; their texts are screened, `screening` lists what was found."""

    results: list[Result]
    notice: str
    screening: list[str]


class DocsReply(BaseModel):
    """Documentation, where it comes from, and a remark about it; all of it is data.

    `outcome`, `tier` and the fields after them are those of an answer's `_meta` over MCP.
    """

    text: str
    note: str | None
    outcome: str
    tier: str
    library_id: str | None
    fetched_at: float | None
    age_seconds: float | None
    execution_id: str
    screening: list[str]


class IndexReply(BaseModel):
    """Number of libraries stored, the ids of their rows, and their Context7 ids."""

    indexed: int
    ids: list[str]
    library_ids: list[str]


class Health(BaseModel):
    """State of look-ups and of the vector index."""

    status: Literal["healthy", "degraded"]
    qdrant_status: Literal["connected", "idle", "off", "unreachable"]
    version: str


class Listed(BaseModel):
    """A collection: its rows with known ids, and how many of them have vectors in the index."""

    name: str
    description: str
    points_count: int
    vectors_count: int


class Savings(BaseModel):
    """Tokens that a look-up saves, as measured, and the daily sum at ten look-ups a library."""

    tokens_per_hit: int
    potential_daily_savings: int
    measured_on: str


class Active(BaseModel):
    """Libraries can be found."""

    collection: str
    total_libraries: int
    status: Literal["active"]
    description: str
    estimated_savings: Savings


class NotInitialized(BaseModel):
    """No library can be found yet: `action` is the next step."""

    collection: str
    status: Literal["not_initialized"]
    error: str
    action: str


class Refused(BaseModel):
    """Reason for an error, in one line."""

    error: str


def problems(error: ValidationError) -> str:
    """Return in one line the problems of a body and their places, without repeating its values."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    texts = [_problem(each["loc"], each["msg"]) for each in found[:MOST_PROBLEMS]]
    return "; ".join(texts) + ("; …" if len(found) > MOST_PROBLEMS else "")


def _problem(place: tuple[int | str, ...], message: str) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    text = f"{path.lstrip('.')}: {message.removeprefix('Value error, ')}"
    return " ".join(text.removeprefix(": ").split())
