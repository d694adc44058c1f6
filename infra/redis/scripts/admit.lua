-- with prelude.lua
-- KEYS {u:UID}:open {u:UID}:live   ARGV ID chat parent explicit(0|1) deadline entry extra
-- OK lane | REPLY_OPEN ID
-- An entry is '<deadline> <chat> <message> <reply>' and, on a line of its own, the question.
local id, chat, parent, explicit = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local deadline, extra = tonumber(ARGV[5]), tonumber(ARGV[7])

for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('(%.0f', now - extra))) do
  redis.call('ZREM', KEYS[2], old)
  redis.call('HDEL', KEYS[1], old)
end
for _, other in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local entry = other ~= id and redis.call('HGET', KEYS[1], other)
  if entry then
    local its_chat, message, reply = string.match(entry, '^%S+ (%S+) (%S+) (%S+)\n')
    if its_chat == chat and (not explicit or parent == message or parent == reply) then
      return {'REPLY_OPEN', other}
    end
  end
end

redis.call('HSET', KEYS[1], id, ARGV[6])
redis.call('ZADD', KEYS[2], ARGV[5], id)
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < math.max(0, deadline + extra - now) then
    redis.call('PEXPIREAT', key, string.format('%.0f', deadline + extra))
  end
end
return {'OK', 'interactive'}
