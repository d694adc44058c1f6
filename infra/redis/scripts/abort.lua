-- KEYS {g:ID}   ARGV {g:ID}:p
-- OK (only from admitted, or no log) | ACCEPTED | RUNNING | CLOSED
-- What is left is a tombstone that outlives the command. '!' tells followers to look.
local state = redis.call('HGET', KEYS[1], 'state')
if not state or state == 'aborted' then return {'OK'} end
if state == 'accepted' then return {'ACCEPTED'} end
if state == 'running' then return {'RUNNING'} end
if state ~= 'admitted' then return {'CLOSED'} end
redis.call('HSET', KEYS[1], 'state', 'aborted')
redis.call('PUBLISH', ARGV[1], '!')
return {'OK'}
