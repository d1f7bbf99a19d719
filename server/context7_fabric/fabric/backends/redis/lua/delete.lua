-- Argument: name. Returns 1 if there was such an entry.
publish(1, 1, 1)
return drop(ARGV[1])
