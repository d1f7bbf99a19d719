-- Arguments: both ends of a range of names; the most entries; the most bytes of values.
-- Returns the name to continue after, or nil, and the entries as `get` does.
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
