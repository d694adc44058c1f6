-- KEYS {u:UID}:open {u:UID}:live   ARGV ID
-- OK (the key stays, and finds the record)
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return {'OK'}
