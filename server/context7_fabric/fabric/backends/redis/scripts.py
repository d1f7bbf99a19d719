"""What runs inside Redis: the scripts that keep entries and their indexes in step.

An entry is a hash: `v` its value, `n` its version. Beside the entries lie three sorted sets with
their names as members: `times` (score: the entry's time), `names` (all scores 0, for ranges by
name) and `ends` (score: when the entry ends, in ms since the epoch; authored entries that stay are
not in it). Redis drops entries by itself, at their end or to make room. Those that have ended leave
the indexes before anything is read from them, 10,000 at a time; those that were evicted, when
somebody comes across them or a write draws them by lot.

What is written and removed is published on the channel `news`: JSON lists of up to a
hundred names. (Leases that are taken or renewed are not: nobody waits for that.)

A script runs as one: nobody sees half of it. Its times are Redis's own, so that the clocks of the
machines that share it do not matter. Names are never compared by order in Lua, which would go by
the server's locale; sorted sets go by bytes.
"""

from __future__ import annotations

from hashlib import sha1
from typing import NamedTuple

FEW = 500
"""Names below a prefix up to which sorting them beats walking all names in the order of time."""

_COMMON = """
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
"""

_STORE = """
local function drop(name)
  forget({name})
  return redis.call('DEL', entries .. name)
end

local function count(key)
  local counted = redis.pcall('HINCRBY', key, 'n', 1)
  local problem = type(counted) == 'table' and counted.err
  if problem then
    if string.find(problem, 'WRONGTYPE') or string.find(problem, 'not an integer') then
      redis.call('DEL', key)
    end
    redis.call('HINCRBY', key, 'n', 1)
  end
end

local function tell(first, last, step)
  local told = {}
  for at = first, last, step do
    told[#told + 1] = ARGV[at]
    if #told == 100 or at + step > last then
      redis.pcall('PUBLISH', news, cjson.encode(told)) -- not everybody may publish
      told = {}
    end
  end
end

local function store(name, value, at, lifetime)
  local key, left = entries .. name, tonumber(lifetime)
  if left and left <= 0 then
    return drop(name)
  end
  count(key)
  redis.call('HSET', key, 'v', value)
  redis.call('ZADD', times, at, name)
  redis.call('ZADD', names, 0, name)
  if left then
    redis.call('PEXPIREAT', key, now + left)
    redis.call('ZADD', ends, now + left, name)
  else
    redis.call('PERSIST', key)
    redis.call('ZREM', ends, name)
  end
end
"""


class RedisScript(NamedTuple):
    """A script, and the digest that Redis knows it by once it has run."""

    text: str
    digest: str


def _script(*parts: str) -> RedisScript:
    text = "".join(parts)
    return RedisScript(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


WRITE = _script(
    _COMMON,
    _STORE,
    """
sweep()
local puts = tonumber(ARGV[1])
for at = 2, 4 * puts + 1, 4 do
  store(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
end
for at = 4 * puts + 2, #ARGV do
  drop(ARGV[at])
end
tell(2, 4 * puts + 1, 4)
tell(4 * puts + 2, #ARGV, 1)
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
""",
)
"""Arguments: how many puts; of each name, value, time and lifetime; names to be removed.

A lifetime is in ms; an empty one never ends. Afterwards names are drawn by lot, and again while
more than a quarter of them stand for evicted entries.
"""

ADD = _script(
    _COMMON,
    _STORE,
    """
if is_there(ARGV[1]) then
  return 0
end
store(ARGV[1], ARGV[2], 0, ARGV[3])
return 1
""",
)
"""Arguments: name, value, lifetime. Returns 1 when it was stored."""

SWAP = _script(
    _COMMON,
    _STORE,
    """
if redis.pcall('HMGET', entries .. ARGV[1], 'v')[1] ~= ARGV[2] then
  return 0
end
if ARGV[3] then
  store(ARGV[3], ARGV[4], ARGV[5], ARGV[6])
else
  tell(1, 1, 1)
  drop(ARGV[1])
end
return 1
""",
)
"""Arguments: name, the value that is expected; in its place name, value, time and lifetime, if any.

Returns 1 when that value was there.
"""

DELETE = _script(_COMMON, _STORE, "tell(1, 1, 1) return drop(ARGV[1])")
"""Argument: name. Returns 1 when there was such an entry."""

NAMES = _script(
    _COMMON,
    "sweep() return redis.call('ZRANGEBYLEX', names, ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])",
)
"""Arguments: both ends of a range of names, how many of them at most. Returns the names."""

COUNT = _script(_COMMON, "sweep() return redis.call('ZLEXCOUNT', names, ARGV[1], ARGV[2])")
"""Arguments: both ends of a range of names. Returns how many there are."""

_READ = """
local found, gone, size = {}, {}, 0

local function read(name)
  local fields = redis.pcall('HMGET', entries .. name, 'v', 'n')
  if fields[1] and fields[2] then
    found[#found + 1] = {name, fields[1], fields[2]}
    size = size + #fields[1]
  elseif not fields.err and not is_there(name) then
    gone[#gone + 1] = name
  end
end
"""

READ = _script(_COMMON, _READ, "for _, name in ipairs(ARGV) do read(name) end return found")
"""Arguments: names. Returns name, value and version of each entry that is one of ours."""

ITEMS = _script(
    _COMMON,
    _READ,
    """
sweep()
local limit, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local page = redis.call('ZRANGEBYLEX', names, ARGV[1], ARGV[2], 'LIMIT', 0, limit)
local last = #page == limit and page[limit]
for at, name in ipairs(page) do
  read(name)
  if size >= most and at < #page then
    last = name
    break
  end
end
forget(gone)
return {last, found}
""",
)
"""Arguments: both ends of a range of names; how many entries, and bytes of values, at most.

Returns the name to go on behind, or nil, and the entries as `READ` does.
"""

NEWEST = _script(
    _COMMON,
    """
local prefix, limit, few = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local after, at = ARGV[6], ARGV[7]
local gone = {}

local function rank_behind(order)
  if not at then
    return 0
  end
  local there = redis.call('ZSCORE', order, after)
  redis.call('ZADD', order, at, after)
  local rank = redis.call('ZREVRANK', order, after)
  if there then
    redis.call('ZADD', order, there, after)
  else
    redis.call('ZREM', order, after)
  end
  return rank + (there and tonumber(there) >= tonumber(at) and 1 or 0)
end

local function walk(order, steps)
  local found, step = {}, 100
  local start = rank_behind(order)
  for first = start, start + steps, step do
    local page = redis.call('ZREVRANGE', order, first, first + step - 1, 'WITHSCORES')
    for i = 1, #page, 2 do
      local name = page[i]
      if string.sub(name, 1, #prefix) == prefix then
        if not is_there(name) then
          gone[#gone + 1] = name
        else
          found[#found + 1] = {name, page[i + 1]}
          if #found == limit then
            return found
          end
        end
      end
    end
    if #page < 2 * step then
      return found
    end
  end
end

local function sorted()
  redis.call('ZRANGESTORE', scratch, names, ARGV[1], ARGV[2], 'BYLEX')
  redis.call('ZINTERSTORE', scratch, 2, scratch, times, 'WEIGHTS', 0, 1)
  local found = walk(scratch, redis.call('ZCARD', scratch))
  redis.call('DEL', scratch)
  return found
end

redis.call('DEL', scratch) -- after a write that frees memory, a full server lets others pass
sweep()
local count = redis.call('ZLEXCOUNT', names, ARGV[1], ARGV[2])
local found = count > few and walk(times, count) or sorted()
forget(gone)
return found
""",
)
"""Arguments: both ends of a range of names; their prefix; how many places; up to how many names are
few; name and time of the place to start behind, if any.

Where names are few, they are sorted. Else the order of time is walked, for about as many steps as
there are names; where that does not do, they are sorted after all. Returns name and time of each.
"""
