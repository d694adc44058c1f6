-- with prelude.lua
-- KEYS {g:ID}   ARGV epoch|'-' expected kind payload terminal chance
-- OK lane | FENCED | GAP next | SEALED payload lane | CLOSED | CANCELLED | ABORTED | NOLOG
-- '-': by somebody who is not its worker; raises the epoch. lane: the line in which it waits no longer ('' when its worker seals).
local log = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'next', 'cancel', 'outcome', 'lane')
local state, others = log[2], ARGV[1] == '-'
if not state then return {'NOLOG'} end
if not others and log[1] ~= ARGV[1] then return {'FENCED'} end
if state == 'aborted' then return {'ABORTED'} end
if state == 'closed' then return {'CLOSED'} end
if state == 'sealed' then return others and {'SEALED', log[5], log[6] or ''} or {'OK', ''} end
if tonumber(ARGV[2]) ~= tonumber(log[3]) then return {'GAP', tonumber(log[3])} end
if log[4] == '1' and ARGV[3] ~= 'cancelled' then return {'CANCELLED'} end
redis.call('HSET', KEYS[1], 'state', 'sealed', 'kind', ARGV[3], 'outcome', ARGV[4], 'terminal', ARGV[5])
if not others then return {'OK', ''} end
redis.call('HSET', KEYS[1], 'epoch', new_epoch(log[1], tonumber(ARGV[6])))
return {'OK', log[6] or ''}
