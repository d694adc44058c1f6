-- KEYS {g:ID}   ARGV {g:ID}:p
-- OK lane (only from admitted, or no log) | ACCEPTED | RUNNING | CLOSED
-- What is left is a tombstone that outlives the command. '!' tells followers to look.
-- lane: the line in which it waits no longer, '<pool>:<lane>' or ''.
local log = redis.call('HMGET', KEYS[1], 'state', 'lane')
local state, lane = log[1], log[2] or ''
if not state or state == 'aborted' then return {'OK', lane} end
if state == 'accepted' then return {'ACCEPTED'} end
if state == 'running' then return {'RUNNING'} end
if state ~= 'admitted' then return {'CLOSED'} end
redis.call('HSET', KEYS[1], 'state', 'aborted')
redis.call('PUBLISH', ARGV[1], '!')
return {'OK', lane}
