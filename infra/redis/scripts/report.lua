-- with prelude.lua
-- KEYS {reports} {reports}:at   ARGV keep, then each name and its report
-- Every report that is not older than `keep` ms, after these were said.
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[i])
end
local oldest = string.format('(%.0f', now - tonumber(ARGV[1]))
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', oldest)) do
  redis.call('HDEL', KEYS[1], name)
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', oldest)
if #ARGV > 1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
return redis.call('HVALS', KEYS[1])
