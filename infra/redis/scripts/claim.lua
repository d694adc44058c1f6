-- with prelude.lua
-- KEYS {g:ID}   ARGV worker hint(0|1) chance lease
-- RUN epoch next attempt cancel shown | HELD owner ms | SEALED payload | CLOSED | ABORTED | EXPIRED | NOLOG
-- hint: the look at the owner's control channel is allowed (nobody subscribed: its process is gone).
local log = redis.call('HMGET', KEYS[1],
  'state', 'epoch', 'next', 'owner', 'lease', 'attempt', 'cancel', 'progress', 'starts', 'outcome')
local state, owner, lease, attempt = log[1], log[4], tonumber(log[5]), tonumber(log[6])
if not state then return {'NOLOG'} end
if state == 'closed' then return {'CLOSED'} end
if state == 'aborted' then return {'ABORTED'} end
if state == 'sealed' then return {'SEALED', log[10]} end
if owner ~= '' and owner ~= ARGV[1] and lease > now then
  local gone = ARGV[2] == '1' and redis.call('PUBSUB', 'NUMSUB', 'w:' .. owner)[2] == 0
  if not gone then return {'HELD', owner, lease - now} end
end
if attempt == 0 and now > tonumber(log[9]) then return {'EXPIRED'} end

local epoch = new_epoch(log[2], tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], 'state', 'running', 'epoch', epoch, 'owner', ARGV[1], 'attempt', attempt + 1,
  'lease', string.format('%.0f', now + tonumber(ARGV[4])))
return {'RUN', epoch, tonumber(log[3]), attempt + 1, tonumber(log[7]), tonumber(log[8]) > 0 and 1 or 0}
