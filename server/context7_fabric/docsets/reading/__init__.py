"""Readers of documents in all their forms, from Markdown to notebooks, into snippets; pure."""
