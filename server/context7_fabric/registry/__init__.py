"""Known libraries: rows learned from upstream, the seeds, and the rule for names."""
