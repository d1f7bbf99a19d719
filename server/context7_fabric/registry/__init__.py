"""Which library does a caller mean? What was learned from upstream, and the seeds."""
