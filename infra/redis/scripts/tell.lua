-- with prelude.lua
-- KEYS {g:ID} {g:ID}:s   ARGV {g:ID}:p chance keep most ends accepted, then each event
-- OK | CLOSED. A command's log: anybody may tell, under the epoch of its birth. ends: the last event is the terminal one, which
-- always finds room. lease: nobody holds such a log, so it is the moment that something was told.
local log = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'next')
if log[2] == 'closed' then return {'CLOSED'} end
local epoch, seq, ends, events = log[1], tonumber(log[3] or 0), ARGV[5] == '1', {}
if not epoch then
  epoch = new_epoch(0, tonumber(ARGV[2]))
  redis.call('DEL', KEYS[2])
  events[1] = ARGV[6]
end
for i = 7, #ARGV do
  if seq + #events < tonumber(ARGV[4]) or (ends and i == #ARGV) then events[#events + 1] = ARGV[i] end
end
if #events > 0 then
  redis.call('HSET', KEYS[1], 'last_id', add(KEYS[2], ARGV[1], epoch, seq, events))
end
redis.call('HSET', KEYS[1], 'epoch', epoch, 'state', ends and 'closed' or 'running', 'next', seq + #events,
  'lease', string.format('%.0f', now), 'attempt', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return {'OK'}
