-- Arguments: both ends of a range of names, the most names. Returns the names.
sweep()
return redis.call('ZRANGEBYLEX', names, ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
