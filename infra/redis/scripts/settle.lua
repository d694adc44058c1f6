-- KEYS {u:UID}:live   ARGV ID
-- OK (the open entry is left to history)
redis.call('ZREM', KEYS[1], ARGV[1])
return {'OK'}
