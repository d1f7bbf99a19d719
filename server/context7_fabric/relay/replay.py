"""Replay buffer: the messages to send again when a daemon ends during a session. Pure."""

from __future__ import annotations

import json

from context7_fabric.lenient_json import as_id

_ANSWER = b'{"jsonrpc":"2.0","id":'
"""Beginning of the daemon's responses."""

_LONGEST_ID = 2**15
"""Bytes of a response in which its id is read: six for each character that an id may have."""

_MOST = 1000
"""Requests that are kept; a client that has more in flight loses those beyond."""

_MARK = "\ufeff"
_read = json.JSONDecoder().raw_decode


class ReplayBuffer:
    """Requests without a response, and those that the state of the session depends on."""

    def __init__(self) -> None:
        """Begin a session without messages."""
        self._handshake: list[bytes] = []
        self._subscriptions: dict[str, bytes] = {}
        self._open: dict[str, bytes] = {}
        self._sent_twice: set[str] = set()
        self._duplicates: set[str] = set()

    @property
    def expects_duplicates(self) -> bool:
        """Tell whether responses will come that the client has already."""
        return bool(self._duplicates)

    @property
    def is_awaited(self) -> bool:
        """Tell whether the client waits for a response or a notification."""
        return bool(self._open or self._subscriptions)

    def sent(self, line: bytes) -> None:
        """Note a line of the client."""
        message = _message(line)
        method = message.get("method")
        if method == "notifications/initialized":
            self._handshake.append(line)
        elif method == "notifications/cancelled":
            self._close(_name(_params(message).get("requestId")))
        elif isinstance(method, str) and "id" in message and len(self._open) < _MOST:
            self._open[_name(message["id"])] = line
            self._remember(method, _params(message), line)

    def received(self, line: bytes) -> bool:
        """Note a line of the daemon; return whether the client is to have it."""
        if not line.startswith(_ANSWER):
            return True
        name = _id_of(line)
        if name in self._duplicates:
            self._duplicates.discard(name)
            return False
        self._close(name)
        return True

    def replay(self) -> tuple[list[bytes], list[bytes]]:
        """Return the lines for a new daemon, and the errors for the client.

        A request is sent twice at most: one that two daemons end without answering fails.
        """
        lost = [name for name in self._open if name in self._sent_twice]
        for name in lost:
            self._close(name)
        lines = [*self._handshake, *self._subscriptions.values()]
        self._duplicates = {_name(_message(line).get("id")) for line in lines} - {_name(None)}
        self._duplicates -= set(self._open)
        lines += [line for line in self._open.values() if line not in lines]
        self._sent_twice = set(self._open)
        return lines, [_failed(name) for name in lost]

    def _remember(self, method: str, params: dict[str, object], line: bytes) -> None:
        if method == "initialize":
            self._handshake = [line]
        elif method == "resources/subscribe":
            self._subscriptions[str(params.get("uri"))] = line
        elif method == "resources/unsubscribe":
            self._subscriptions.pop(str(params.get("uri")), None)

    def _close(self, name: str) -> None:
        self._open.pop(name, None)
        self._sent_twice.discard(name)


def _id_of(answer: bytes) -> str:
    """Return the name of the request that `answer` belongs to, that of null if it has no id."""
    try:
        beginning = answer[len(_ANSWER) : len(_ANSWER) + _LONGEST_ID]
        return _name(_read(beginning.decode(errors="replace"))[0])
    except (ValueError, RecursionError):
        return _name(None)


def _message(line: bytes) -> dict[str, object]:
    try:
        message = json.loads(line.decode(errors="replace").lstrip(_MARK), strict=False)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _params(message: dict[str, object]) -> dict[str, object]:
    params = message.get("params")
    return params if isinstance(params, dict) else {}


def _name(request_id: object) -> str:
    """Return the id of a request as JSON, in which 1 and "1" are two."""
    return json.dumps(as_id(request_id))


def _failed(name: str) -> bytes:
    error = '{"code":-32000,"message":"Connection closed"}'
    return f'{{"jsonrpc":"2.0","id":{name},"error":{error}}}\n'.encode()
