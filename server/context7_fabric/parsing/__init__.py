"""Context7's texts and their parts: pure functions over strings, no I/O, clock or logging."""
