-- Arguments: names. Returns name, value and version of each entry that is ours.
for _, name in ipairs(ARGV) do
  read(name)
end
return found
