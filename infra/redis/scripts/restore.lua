-- with prelude.lua
-- KEYS {g:ID} {g:ID}:s   ARGV {g:ID}:p epoch worker attempt cancel lease frame uid question starts deadline extra, then the events
-- OK | EXISTS
-- The events are one argument of lines '<id> <tokens> <json>', added one by one: a log may have more of them than a call may have arguments.
-- This run's log may stand already, where the answer of a restore was lost; that is OK too.
-- progress, spoke and backend are counted as append counts them.
local log = redis.call('HMGET', KEYS[1], 'state', 'epoch')
if log[1] then return {log[1] == 'running' and log[2] == ARGV[2] and 'OK' or 'EXISTS'} end

redis.call('DEL', KEYS[2])
local frame, seq, progress, spoke, backend, born, id = tonumber(ARGV[7]), 0, 0, 0, '', nil, nil
for its_id, tokens, event in string.gmatch(ARGV[13], '(%S+) (%d+) ([^\n]+)') do
  local epoch, kind = string.match(its_id, '^%d+'), string.byte(event, 11)
  if kind == 116 then
    progress = progress + #event - frame
    if epoch == ARGV[2] then spoke = 1 end
  elseif kind == 114 then
    progress = 0
  elseif kind == 115 then
    backend = cjson.decode(event).data.backend
  end
  redis.call('XADD', KEYS[2], its_id, 'e', event, 'n', tokens)
  born, seq, id = born or epoch, seq + 1, its_id
end

redis.call('HSET', KEYS[1],
  'state', 'running', 'epoch', ARGV[2], 'next', seq, 'owner', ARGV[3], 'attempt', ARGV[4], 'cancel', ARGV[5],
  'lease', string.format('%.0f', now + tonumber(ARGV[6])), 'progress', progress, 'spoke', spoke, 'uid', ARGV[8],
  'question', ARGV[9], 'starts', ARGV[10], 'deadline', ARGV[11], 'born', born, 'last_id', id)
if backend ~= '' then redis.call('HSET', KEYS[1], 'backend', backend) end
local expires = string.format('%.0f', tonumber(ARGV[11]) + tonumber(ARGV[12]))
redis.call('PEXPIREAT', KEYS[1], expires)
redis.call('PEXPIREAT', KEYS[2], expires)
redis.call('PUBLISH', ARGV[1], '!')
return {'OK'}
