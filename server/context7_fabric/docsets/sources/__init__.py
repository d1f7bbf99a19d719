"""Sources of documentation: folders, git repositories and llms.txt files."""
