-- with prelude.lua
-- KEYS workers:<pool>   ARGV worker slots age
-- OK. A member is '<slots> <worker>'; a worker has one, none with 0 slots.
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if string.match(member, '^%d+ (.*)$') == ARGV[1] then redis.call('ZREM', KEYS[1], member) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - tonumber(ARGV[3])))
if tonumber(ARGV[2]) > 0 then
  redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[2] .. ' ' .. ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return {'OK'}
