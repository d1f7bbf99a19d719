"""Our MCP face: the server, its tools, and the transports it is served on."""
