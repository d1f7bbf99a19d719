"""Prompts: those stored in the fabric, and those that ship with the package.

Stored ones are contexts of GLOBAL under `prompt:NAME`, those of a router under
`router:NAME:system_message`. Each call reads them anew, so that a change counts at once.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from anyio import to_thread

from context7_fabric.errors import SeedError
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Viewer
from context7_fabric.seed_files import PromptSeed
from context7_fabric.views.visibility import is_visible

_SIGN = re.compile(r"\{\{|\}\}|\{[A-Za-z_][A-Za-z0-9_]*\}")


def placeholders(text: str) -> tuple[str, ...]:
    """Return the names of the placeholders in `text`, each once, in their order."""
    names = (part for part, is_name in _parts(text) if is_name)
    return tuple(dict.fromkeys(names))


def fill(text: str, values: Mapping[str, str], most: int) -> str | None:
    """Return `text` with the values of its placeholders, None beyond `most` characters.

    Braces in a value stay as they are.

    Raises:
        KeyError: A placeholder has no value.
    """
    parts = [values[part] if is_name else part for part, is_name in _parts(text)]
    return "".join(parts) if sum(map(len, parts)) <= most else None


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the text piece by piece; True marks the name of a placeholder."""
    opened = end = 0
    for match in _SIGN.finditer(text):
        yield text[end : match.start()], False
        end, sign = match.end(), match[0]
        if sign == "{{":
            opened += 1
            yield "{", False
        elif sign == "}}":
            yield "}" if opened else sign, False
            opened = max(0, opened - 1)
        else:
            yield sign[1:-1], True
    yield text[end:], False


log = logging.getLogger(__name__)

PROMPTS = "prompt:"
ROUTERS = "router:"
PAGE = 100
"""Prompts on one page of the list."""

LONGEST = 100_000
"""Bytes of the text of a prompt that is served."""

_ROUTER = re.compile(r"router:.+:system_message", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PromptArgument:
    """An argument of a prompt; its description may be empty."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text with placeholders, one for each of `arguments`."""

    name: str
    text: str
    description: str
    arguments: tuple[PromptArgument, ...]
    title: str | None = None
    version: str | None = None

    @property
    def size(self) -> int:
        """Bytes of the text."""
        return len(self.text.encode())


class PromptLibrary:
    """The prompts that one viewer may see."""

    def __init__(
        self, fabric: Fabric, viewer: Viewer, load: Callable[[], Sequence[PromptSeed]]
    ) -> None:
        """Read stored prompts from `fabric`, and shipped ones once, by `load`, which may block.

        A file of shipped prompts that cannot be used is logged and left out.
        """
        self._fabric = fabric
        self._viewer = viewer
        self._load = load
        self._shipped: dict[str, Prompt] | None = None

    async def page(self, after: str | None = None) -> tuple[list[Prompt], str | None]:
        """Return the next prompts by name, those behind `after`; and the name to go on behind."""
        names = [name for name in await self._names() if after is None or name > after]
        page = names[:PAGE]
        found = await self._find(page)
        prompts = [found[name] for name in page if name in found]
        return prompts, page[-1] if len(names) > PAGE else None

    async def find(self, name: str) -> Prompt | None:
        """Return the prompt called `name`; a stored one overrides a shipped one."""
        return (await self._find([name])).get(name)

    async def _names(self) -> list[str]:
        prompts = await self._fabric.keys(Scope.GLOBAL, PROMPTS)
        routers = filter(_ROUTER.fullmatch, await self._fabric.keys(Scope.GLOBAL, ROUTERS))
        stored = {key.removeprefix(PROMPTS) for key in prompts} - {""}
        return sorted(stored.union(routers, await self._shipped_prompts()))

    async def _find(self, names: Iterable[str]) -> dict[str, Prompt]:
        names = [name for name in names if name]
        keys = [PROMPTS + name for name in names]
        keys += filter(_ROUTER.fullmatch, names)
        stored: dict[str, Prompt] = {}
        for context in await self._fabric.get_many(keys):
            if is_visible(context, self._viewer):
                prompt = _stored(context)
                stored.setdefault(prompt.name, prompt)
        shipped = await self._shipped_prompts()
        return {name: shipped[name] for name in names if name in shipped} | stored

    async def _shipped_prompts(self) -> dict[str, Prompt]:
        if self._shipped is None:
            self._shipped = await to_thread.run_sync(self._load_shipped)
        return self._shipped

    def _load_shipped(self) -> dict[str, Prompt]:
        try:
            return {seed.name: _shipped(seed) for seed in self._load()}
        except SeedError as error:
            log.warning("the shipped prompts are left out: %s", error)
            return {}


def _shipped(seed: PromptSeed) -> Prompt:
    arguments = _arguments(seed.text, dict(seed.arguments))
    return Prompt(seed.name, seed.text, seed.description, arguments, seed.title)


def _stored(context: Context) -> Prompt:
    name, metadata = context.key.removeprefix(PROMPTS), context.metadata
    value = context.value
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, indent=2)
    text = _encodable(value)
    return Prompt(
        name=name,
        text=text,
        description=_word(metadata.get("description")) or f"The stored prompt {name}.",
        arguments=_arguments(text, metadata.get("arguments")),
        title=_word(metadata.get("title")),
        version=_word(metadata.get("version")) or str(context.version),
    )


def _arguments(text: str, descriptions: Json) -> tuple[PromptArgument, ...]:
    """Return an argument for each placeholder, with its description, if there is one."""
    named = descriptions if isinstance(descriptions, dict) else {}
    return tuple(PromptArgument(name, _word(named.get(name)) or "") for name in placeholders(text))


def _word(value: Json) -> str | None:
    """Return a text or a number of the metadata as text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return _encodable(str(value)).strip() or None


def _encodable(text: str) -> str:
    """Return `text` with a question mark for each lone surrogate, which UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()
