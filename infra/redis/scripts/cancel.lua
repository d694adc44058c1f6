-- with prelude.lua
-- KEYS {g:ID}   ARGV uid ID kind payload terminal chance
-- SEALED payload lane | FLAGGED owner | CLOSED kind | ABORTED | NOTFOUND
-- lane: the line in which it waits no longer, '<pool>:<lane>' or ''.
local log = redis.call('HMGET', KEYS[1], 'uid', 'state', 'owner', 'epoch', 'progress', 'kind', 'outcome', 'lane')
local state, owner = log[2], log[3]
if not state or log[1] ~= ARGV[1] then return {'NOTFOUND'} end
if state == 'aborted' then return {'ABORTED'} end
if state == 'closed' then return {'CLOSED', log[6]} end
if state == 'sealed' then return {'SEALED', log[7], log[8] or ''} end
if owner == '' and tonumber(log[5]) == 0 then
  redis.call('HSET', KEYS[1], 'state', 'sealed', 'epoch', new_epoch(log[4], tonumber(ARGV[6])),
    'lease', string.format('%.0f', now), 'kind', ARGV[3], 'outcome', ARGV[4], 'terminal', ARGV[5])
  return {'SEALED', ARGV[4], log[8] or ''}
end
redis.call('HSET', KEYS[1], 'cancel', 1)
if owner ~= '' then redis.call('PUBLISH', 'w:' .. owner, 'cancel ' .. ARGV[2] .. ' ' .. log[4]) end
return {'FLAGGED', owner}
