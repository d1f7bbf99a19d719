-- Names of the indexes, and functions that every script may call.
--
-- An entry is a hash: `v` is its value, `n` its version. Three sorted sets hold the names of the
-- entries: `times` (scored by the time of the entry), `names` (all scores 0, for ranges by name)
-- and `ends` (scored by the end of the entry in ms since the epoch; authored entries without an
-- end are not in it).
--
-- Redis drops entries by itself, at their end or to make room. Names of ended entries leave the
-- indexes before anything is read from them, 10,000 at a time. Names of evicted entries leave them
-- when a script finds them, or a write draws them at random.
--
-- Written and removed names are published on the channel `news`, as JSON lists of up to a hundred
-- names. Leases that are taken or renewed are not published: no process waits for that.
--
-- A script is atomic. Its times are the server's own, so the clocks of the clients do not matter.
-- Lua never compares names by order, which would depend on the server's locale; sorted sets order
-- by bytes.

local times, names, ends, scratch, entries = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local news = KEYS[6]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function forget(gone)
  for first = 1, #gone, 1000 do
    local last = math.min(first + 999, #gone)
    for _, index in ipairs({times, names, ends}) do
      redis.call('ZREM', index, unpack(gone, first, last))
    end
  end
end

local function sweep()
  forget(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 10000))
end

local function is_there(name)
  return redis.call('EXISTS', entries .. name) == 1
end
