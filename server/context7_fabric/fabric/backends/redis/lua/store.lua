-- Functions that store and remove entries.

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

local function publish(first, last, step)
  local list = {}
  for at = first, last, step do
    list[#list + 1] = ARGV[at]
    if #list == 100 or at + step > last then
      redis.pcall('PUBLISH', news, cjson.encode(list)) -- the user may lack the permission
      list = {}
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
