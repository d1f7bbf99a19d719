-- Reads entries: those that are ours into `found`, names without an entry into `gone`.

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
