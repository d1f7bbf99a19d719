"""Privacy: the owners of answers, and the redaction of what leaves the machine."""
