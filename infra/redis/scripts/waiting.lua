-- with prelude.lua
-- KEYS q:<pool>:<lane> | workers:<pool>   ARGV age most
-- The first `most` that are not older than `age`, the oldest first; the older ones are removed.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - tonumber(ARGV[1])))
return redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[2]) - 1)
