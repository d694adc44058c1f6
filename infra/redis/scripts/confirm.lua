-- KEYS {g:ID}
-- OK | ABORTED | NOLOG
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return {'NOLOG'} end
if state == 'aborted' then return {'ABORTED'} end
if state == 'admitted' then redis.call('HSET', KEYS[1], 'state', 'accepted') end
return {'OK'}
