-- Arguments: the number of puts; name, value, time and lifetime of each; names to be removed.
--
-- A lifetime is in ms; an empty one never ends. Afterwards names are drawn at random, again and
-- again while more than a quarter of them belong to evicted entries.
sweep()
local puts = tonumber(ARGV[1])
for at = 2, 4 * puts + 1, 4 do
  store(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
end
for at = 4 * puts + 2, #ARGV do
  drop(ARGV[at])
end
publish(2, 4 * puts + 1, 4)
publish(4 * puts + 2, #ARGV, 1)
for _ = 1, 100 do
  local gone = {}
  for _, name in ipairs(redis.call('ZRANDMEMBER', names, 20)) do
    if not is_there(name) then
      gone[#gone + 1] = name
    end
  end
  forget(gone)
  if #gone <= 5 then
    break
  end
end
