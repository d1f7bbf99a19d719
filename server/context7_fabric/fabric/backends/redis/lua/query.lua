-- Arguments: both ends of a range of names; their prefix; the most positions; the most names that
-- are few; name and time of the position to continue after, if any. Returns name and time of each.
--
-- Few names are sorted. Of many, the order of time is walked, for about as many steps as there are
-- names; where that finds too few, the names are sorted after all.
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
