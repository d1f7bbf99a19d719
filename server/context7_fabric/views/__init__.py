"""Views of the store: contexts, libraries, prompts and figures, as one viewer may read them."""
