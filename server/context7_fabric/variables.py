"""Declaration of every setting: the name of its environment variable, kind, default, meaning.

The reader, the settings' defaults, docs/settings.md, `config` and the notes on unknown names are
made from it. A relay imports this module, so it imports nothing.
"""

from __future__ import annotations

PREFIX = "CONTEXT7_FABRIC_"

VARIABLES: dict[str, tuple[str | tuple[str, ...], str | None, str]] = {
    "UPSTREAM": ("address", "https://mcp.context7.com/mcp", "an MCP URL, a command line, or `off`"),
    "HOME": (
        "path",
        None,
        "folder of everything that is stored and downloaded, readable by you alone",
    ),
    "BACKEND": (
        "address",
        "disk",
        "`disk`, `memory` (nothing is kept), or the URL of a Redis server",
    ),
    "DAEMON": (("auto", "off"), "auto", "`off` lets each client on stdio serve itself"),
    "DAEMON_IDLE": ("duration", "10m", "how long the daemon stays without a client"),
    "VALUE_LIMIT": ("count", "4194304", "largest size of a stored value in bytes"),
    "PRINCIPAL": ("text", None, "name of the owner of what is stored; survives a change of key"),
    "DOCS_FRESH": ("duration", "3d", "how long an answer is fresh"),
    "DOCS_STALE": ("duration", "30d", "how long after that it is served while it is refreshed"),
    "STALE_ON_ERROR": ("duration", "365d", "how long after that it is served when Context7 fails"),
    "LIBRARY_TTL": ("duration", None, "how long a look-up is fresh"),
    "NEGATIVE_TTL": ("duration", "10m", "how long an unknown library is remembered as unknown"),
    "PATIENCE": ("duration", "4s", "longest wait for Context7 while a stored copy is at hand"),
    "UPSTREAM_TIMEOUT": ("duration", "55s", "longest wait for Context7, connecting included"),
    "MONTHLY_CALLS": ("number", "1000", "calls a month; refreshing ahead stops at 80 % of them"),
    "EXECUTIONS_KEEP": ("duration", "7d", "how long the record of a call is kept"),
    "EXECUTIONS_MOST": ("count", "10000", "largest number of records that are kept"),
    "TOOLS": ("text", None, "tools with commas; `+feedback` and `+fabric` add to the default ones"),
    "DOCSETS": (
        ("first", "fallback", "off"),
        "first",
        "when a library's docset answers: before Context7, only where Context7 cannot, or never",
    ),
    "PROJECT": (
        "project",
        None,
        "folder of the project whose pins and locked versions count, or `off` for no pins at all",
    ),
    "META": (("brief", "full", "off"), "brief", "extent of `_meta` in answers over MCP"),
    "REDACT": ("switch", "on", "`off` sends questions as they are"),
    "SEED": ("path", None, "another seed file; a bad row is left out and logged with its line"),
    "MODEL": (
        "text",
        "sentence-transformers/all-MiniLM-L6-v2",
        "the fastembed model that ranks suggestions, or `off` to rank by words alone",
    ),
    "MODEL_PATH": ("path", None, "folder with the model's files, where nothing can be downloaded"),
    "QDRANT_URL": ("address", None, "a Qdrant server for the index, in place of the embedded one"),
    "QDRANT_API_KEY": ("secret", None, "key of the Qdrant server"),
    "DOCSETS_FRESH": (
        "duration",
        "45d",
        "age from which a docset without a version is refreshed when it is used",
    ),
    "DOCSETS_HOSTS": (
        "hosts",
        "",
        "further hosts of git repositories that docsets may come from, with commas",
    ),
    "DOCSETS_PRIVATE_ADDRESSES": (
        "switch",
        "off",
        "`on` lets docsets come from a forge or a site in your own network",
    ),
    "HOST": ("host", "127.0.0.1", "address for HTTP and SSE, as `--host`; others need tokens"),
    "HOSTS": ("hosts", None, "names that clients may call the server by, with commas"),
    "ORIGINS": (
        "origins",
        None,
        "origins of web pages that may use the server, such as `https://app.example`, with commas",
    ),
    "TOKENS_FILE": ("path", None, "file of access tokens; one that is named has to exist"),
    "RATE": ("count", "600", "requests a minute that each token may make"),
    "TLS_CERT": ("path", None, "file of a certificate, to serve HTTPS; needs `…_TLS_KEY`"),
    "TLS_KEY": ("path", None, "file of its key"),
    "PROXIES": ("networks", "", "addresses and networks of proxies whose forwarded headers count"),
    "TRACE_CONTENT": ("switch", "off", "`on` puts questions and answers into traces"),
    "LOG_LEVEL": (
        ("debug", "info", "warning", "error"),
        "warning",
        "lowest level that is logged; `debug` logs a line a call",
    ),
    "TOKEN": ("secret", None, "access token of the Python client for the server it asks"),
}
"""Kind, default and meaning by the name without the prefix.

A tuple as kind holds the choices. An `address` may hold a password, and a `secret` is one; of a
`count`, 0 stands for the default.
"""

UNSET = {
    "HOME": "the user's data folder; what can be fetched again is in the cache folder",
    "PRINCIPAL": "a fingerprint of the key",
    "LIBRARY_TTL": "the seed file's `ttl_days`, else `30d`",
    "PROJECT": "the folder in which the client starts the server; none over HTTP",
    "MONTHLY_CALLS": "`1000` without a key",
    "TOOLS": "the three of the README",
    "SEED": "the shipped file",
    "DOCSETS_HOSTS": "the well-known forges",
    "HOSTS": "loopback, any with tokens",
    "ORIGINS": "pages of this machine",
    "TOKENS_FILE": "`tokens` in the home",
}
"""The rule in words where the default depends on something else."""
