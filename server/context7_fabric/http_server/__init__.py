"""The server for several people: who may come in over HTTP, and what each request has to pass."""
