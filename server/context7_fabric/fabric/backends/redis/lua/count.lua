-- Arguments: both ends of a range of names. Returns their number.
sweep()
return redis.call('ZLEXCOUNT', names, ARGV[1], ARGV[2])
