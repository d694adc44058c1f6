-- KEYS {u:UID}:open {u:UID}:live   ARGV ID {u:UID}:idem:
-- OK. It never happened: so the key that named it is new again.
local entry = redis.call('HGET', KEYS[1], ARGV[1])
local name = entry and string.match(entry, '^%S+ %S+ %S+ %S+ (%S+)\n')
local kept = name and redis.call('GET', ARGV[2] .. name)
if kept and string.match(kept, ' (%S+)$') == ARGV[1] then redis.call('DEL', ARGV[2] .. name) end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return {'OK'}
