"""Dependencies of the project in a folder, read from its manifests and lock files."""
