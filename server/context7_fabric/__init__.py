"""Read-through cache for Context7: MCP server, fabric and Python client.

The names below are imported at first use, so that the command starts quickly.
"""

from context7_fabric.version import __version__ as __version__

TYPE_CHECKING = False  # `typing` itself takes as long to import as all else that starting needs
if TYPE_CHECKING:
    from typing import Any

    from context7_fabric.client import (
        CachedLibrary,
        Context7CacheClient,
        get_context7_cache,
        get_library_docs_cached,
    )
    from context7_fabric.fabric.context import Context, Scope
    from context7_fabric.fabric.fabric import Fabric
    from context7_fabric.fabric.factory import (
        DiskFabric,
        InMemoryFabric,
        RedisFabric,
        VectorFabric,
        open_fabric,
    )

__all__ = [
    "CachedLibrary",
    "Context",
    "Context7CacheClient",
    "DiskFabric",
    "Fabric",
    "InMemoryFabric",
    "RedisFabric",
    "Scope",
    "VectorFabric",
    "get_context7_cache",
    "get_library_docs_cached",
    "open_fabric",
]

_PLACES = {
    "CachedLibrary": "client",
    "Context": "fabric.context",
    "Context7CacheClient": "client",
    "DiskFabric": "fabric.factory",
    "Fabric": "fabric.fabric",
    "InMemoryFabric": "fabric.factory",
    "RedisFabric": "fabric.factory",
    "Scope": "fabric.context",
    "VectorFabric": "fabric.factory",
    "get_context7_cache": "client",
    "get_library_docs_cached": "client",
    "open_fabric": "fabric.factory",
}


def __getattr__(name: str) -> "Any":  # noqa: ANN401  # a class or a function
    """Import a public name at its first use."""
    from importlib import import_module  # noqa: PLC0415  # it takes time to import

    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
