-- with prelude.lua
-- KEYS {g:ID}   ARGV epoch
-- OK | FENCED | NOLOG
local log = redis.call('HMGET', KEYS[1], 'epoch', 'state')
if not log[1] then return {'NOLOG'} end
if log[1] ~= ARGV[1] then return {'FENCED'} end
redis.call('HSET', KEYS[1], 'owner', '', 'lease', string.format('%.0f', now))
if log[2] == 'running' then redis.call('HSET', KEYS[1], 'state', 'accepted') end
return {'OK'}
