"""Docsets: the documentation of a library at one version, held locally."""
