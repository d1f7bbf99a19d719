-- Arguments: name, expected value; name, value, time and lifetime of the new entry, if any.
-- Returns 1 if the expected value was there.
if redis.pcall('HMGET', entries .. ARGV[1], 'v')[1] ~= ARGV[2] then
  return 0
end
if ARGV[3] then
  store(ARGV[3], ARGV[4], ARGV[5], ARGV[6])
else
  publish(1, 1, 1)
  drop(ARGV[1])
end
return 1
