-- with prelude.lua
-- KEYS {u:UID}:open {u:UID}:live [{u:UID}:idem:KEY]
-- ARGV ID chat parent explicit(0|1) deadline entry extra cap batch(0|1) [sha keep]
-- OK lane | SAME ID | MISMATCH | REPLY_OPEN ID | LIMITED ms
-- An entry is '<deadline> <chat> <message> <reply>', where a key named it ' <KEY>', and, on a line of its own, the question.
local id, chat, parent, explicit = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local deadline, extra, sha = tonumber(ARGV[5]), tonumber(ARGV[7]), ARGV[10]

for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('(%.0f', now - extra))) do
  redis.call('ZREM', KEYS[2], old)
  redis.call('HDEL', KEYS[1], old)
end
local kept = KEYS[3] and redis.call('GET', KEYS[3])
if kept then
  local its_sha, named = string.match(kept, '^(%S*) (%S+)$')
  if its_sha ~= sha then return {'MISMATCH'} end
  return {'SAME', named}
end
if redis.call('HEXISTS', KEYS[1], id) == 1 then return {'SAME', id} end

local live = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
for i = 1, #live, 2 do
  local entry = redis.call('HGET', KEYS[1], live[i])
  if entry then
    local its_chat, message, reply = string.match(entry, '^%S+ (%S+) (%S+) (%S+)%s')
    if its_chat == chat and (not explicit or parent == message or parent == reply) then
      return {'REPLY_OPEN', live[i]}
    end
  end
end
local others = #live / 2
if others >= tonumber(ARGV[8]) then return {'LIMITED', math.max(1, tonumber(live[2] or 0) - now)} end

redis.call('HSET', KEYS[1], id, ARGV[6])
redis.call('ZADD', KEYS[2], ARGV[5], id)
for i = 1, 2 do
  if redis.call('PTTL', KEYS[i]) < math.max(0, deadline + extra - now) then
    redis.call('PEXPIREAT', KEYS[i], string.format('%.0f', deadline + extra))
  end
end
if KEYS[3] then redis.call('SET', KEYS[3], sha .. ' ' .. id, 'PX', ARGV[11]) end
return {'OK', ARGV[9] == '1' and 'batch' or others < 2 and 'interactive' or 'bulk'}
