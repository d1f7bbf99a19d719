"""Reader of documents: Markdown, MDX, reStructuredText and plain text into snippets; pure."""
