"""MCP server: tools, resources, prompts and notifications, and the transports that serve them."""
