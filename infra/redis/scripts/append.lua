-- The hot path: no prelude, no time.
-- KEYS {g:ID} {g:ID}:s   ARGV {g:ID}:p epoch expected most frame, then each event and its number of tokens
-- OK next cancel | FENCED | GAP next | CLOSED | NOLOG | TOO_BIG
-- spoke: text was shown under this epoch (a claim sets it back), so its worker's end is no death.
-- An event reads {"event":"<name>",…: the 11th byte tells t(oken, hinking, ool_call) from s(tarted) and r(estarted).
local log = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'next', 'cancel', 'progress', 'spoke')
if not log[1] then return {'NOLOG'} end
if log[1] ~= ARGV[2] then return {'FENCED'} end
if log[2] ~= 'running' then return {'CLOSED'} end
local seq, expected = tonumber(log[3]), tonumber(ARGV[3])
if expected > seq then return {'GAP', seq} end

local first, most, frame = 6 + 2 * (seq - expected), tonumber(ARGV[4]), tonumber(ARGV[5])
local progress, spoke, backend = tonumber(log[5]), nil, nil
for i = first, #ARGV, 2 do
  local kind = string.byte(ARGV[i], 11)
  if kind == 116 then
    spoke = true
    progress = progress + #ARGV[i] - frame
    if progress > most then return {'TOO_BIG'} end
  elseif kind == 114 then
    progress = 0
  elseif kind == 115 then
    backend = cjson.decode(ARGV[i]).data.backend
  end
end

local lines, id = {}, nil
for i = first, #ARGV, 2 do
  id = ARGV[2] .. '-' .. seq
  redis.call('XADD', KEYS[2], id, 'e', ARGV[i], 'n', ARGV[i + 1])
  lines[#lines + 1] = id .. ' ' .. ARGV[i]
  seq = seq + 1
end
if id then
  if spoke and log[6] ~= '1' then
    redis.call('HSET', KEYS[1], 'next', seq, 'progress', progress, 'last_id', id, 'spoke', 1)
  else
    redis.call('HSET', KEYS[1], 'next', seq, 'progress', progress, 'last_id', id)
  end
  if backend then redis.call('HSET', KEYS[1], 'backend', backend) end
  redis.call('PUBLISH', ARGV[1], table.concat(lines, '\n'))
end
return {'OK', seq, tonumber(log[4])}
