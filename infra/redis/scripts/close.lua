-- with prelude.lua
-- KEYS {g:ID} {g:ID}:s   ARGV {g:ID}:p epoch keep
-- OK id | CLOSED id | FENCED | NOT_SEALED | NOLOG
local log = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'next', 'last_id', 'terminal')
if not log[1] then return {'NOLOG'} end
if log[1] ~= ARGV[2] then return {'FENCED'} end
if log[2] == 'closed' then return {'CLOSED', log[4]} end
if log[2] ~= 'sealed' then return {'NOT_SEALED'} end
local seq = tonumber(log[3])
local id = add(KEYS[2], ARGV[1], log[1], seq, {log[5]})
redis.call('HSET', KEYS[1], 'state', 'closed', 'owner', '', 'next', seq + 1, 'last_id', id)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return {'OK', id}
