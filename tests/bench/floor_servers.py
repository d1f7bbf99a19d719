"""Servers that do next to nothing: the floor under the times of `peers.py` and `http_calls.py`.

    python floor_servers.py loop|sdk|http LENGTH

`loop` answers lines of JSON on stdio with the standard library alone. `sdk` is one tool on the
Python SDK. `http` sends the same reply to every request without reading it; it prints its address.
Every answer is a text of LENGTH words.
"""

# ruff: noqa: PLC0415  # a server imports what it needs alone, for its start is timed, too

import json
import sys


def serve_loop(text: str) -> None:
    """Answer every line of the input with the same result."""
    canned = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "serverInfo": {"name": "loop", "version": "1"},
        "tools": [],
        "content": [{"type": "text", "text": text}],
    }
    result = json.dumps(canned).encode()
    for line in sys.stdin.buffer:
        number = json.loads(line).get("id")
        if number is not None:
            sys.stdout.buffer.write(b'{"jsonrpc":"2.0","id":%d,"result":%b}\n' % (number, result))
            sys.stdout.buffer.flush()


def serve_sdk(text: str) -> None:
    import anyio
    import mcp_types as types
    from mcp.server.lowlevel import Server
    from mcp.server.stdio import stdio_server

    async def list_tools(_context: object, _params: object) -> types.ListToolsResult:
        tool = types.Tool(name="query-docs", input_schema={"type": "object"})
        return types.ListToolsResult(tools=[tool])

    async def call_tool(_context: object, _params: object) -> types.CallToolResult:
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)])

    async def serve() -> None:
        server = Server[object]("trivial", on_list_tools=list_tools, on_call_tool=call_tool)
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    anyio.run(serve)


def serve_http(text: str) -> None:
    """Reply to whatever arrives at a port; a client sends a request in one piece."""
    import asyncio

    content = json.dumps({"content": [{"type": "text", "text": text}]}).encode()
    body = b'{"jsonrpc":"2.0","id":1,"result":%b}' % content
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    reply = head % (b"application/json, text/event-stream", len(body)) + body

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self._transport = transport

        def data_received(self, data: bytes) -> None:
            self._transport.write(reply)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp", flush=True)
        await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    servers = {"loop": serve_loop, "sdk": serve_sdk, "http": serve_http}
    servers[sys.argv[1]]("word " * int(sys.argv[2]))
