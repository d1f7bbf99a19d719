"""The cache fabric: a scoped store of contexts over pluggable backends, free of Context7."""
