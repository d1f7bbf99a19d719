-- Arguments: name, value, lifetime. Returns 1 if it was stored.
if is_there(ARGV[1]) then
  return 0
end
store(ARGV[1], ARGV[2], 0, ARGV[3])
return 1
