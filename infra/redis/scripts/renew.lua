-- with prelude.lua
-- KEYS {g:ID}   ARGV epoch lease
-- OK cancel | FENCED | NOLOG
local log = redis.call('HMGET', KEYS[1], 'epoch', 'cancel')
if not log[1] then return {'NOLOG'} end
if log[1] ~= ARGV[1] then return {'FENCED'} end
redis.call('HSET', KEYS[1], 'lease', string.format('%.0f', now + tonumber(ARGV[2])))
return {'OK', tonumber(log[2])}
