"""The demonstration: a sample Context7 in process, and a walk that shows what the fabric does."""
