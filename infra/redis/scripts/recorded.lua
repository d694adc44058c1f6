-- with prelude.lua
-- KEYS {g:ID} {g:ID}:s   ARGV {g:ID}:p chance kind payload terminal keep [epoch next, then the events that mend the text]
-- CLOSED id | LOOK epoch next | NOLOG
-- In two steps, for the text is compared outside: LOOK fences whoever still writes (a new epoch, sealed with what the
-- store holds); then the same again with that epoch and `next`, and with the events that make the log's text the recorded one.
local log = redis.call('HMGET', KEYS[1], 'state', 'epoch', 'next', 'last_id', 'recording')
local state, epoch, seq = log[1], log[2], tonumber(log[3])
if not state then return {'NOLOG'} end
if state == 'closed' then
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
  redis.call('PEXPIRE', KEYS[2], ARGV[6])
  return {'CLOSED', log[4]}
end
if ARGV[7] ~= epoch or tonumber(ARGV[8]) ~= seq then
  if log[5] ~= epoch then
    epoch = new_epoch(epoch, tonumber(ARGV[2]))
    redis.call('HSET', KEYS[1], 'state', 'sealed', 'epoch', epoch, 'recording', epoch, 'owner', '',
      'lease', string.format('%.0f', now), 'kind', ARGV[3], 'outcome', ARGV[4], 'terminal', ARGV[5])
  end
  return {'LOOK', epoch, seq}
end
local events = {}
for i = 9, #ARGV do events[#events + 1] = ARGV[i] end
events[#events + 1] = ARGV[5]
local id = add(KEYS[2], ARGV[1], epoch, seq, events)
redis.call('HSET', KEYS[1], 'state', 'closed', 'next', seq + #events, 'last_id', id)
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
return {'CLOSED', id}
