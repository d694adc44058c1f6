-- with prelude.lua
-- KEYS {g:ID} {g:ID}:s   ARGV worker hint(0|1) chance lease suspects(0|1)
-- RUN epoch next attempt cancel shown deaths born lane | HELD owner ms | SEALED payload lane | CLOSED | ABORTED lane |
-- EXPIRED lane | QUARANTINE lane | NOLOG
-- hint: the look at the owner's control channel is allowed (nobody subscribed: its process is gone).
-- lane: the line in which it waits no longer, '<pool>:<lane>' or ''. Logs of older versions lack spoke, deaths, takeovers, born, lane.
local log = redis.call('HMGET', KEYS[1], 'state', 'epoch', 'next', 'owner', 'lease', 'attempt', 'cancel', 'progress',
  'starts', 'outcome', 'spoke', 'deaths', 'takeovers', 'born', 'lane')
local state, owner, lease, attempt = log[1], log[4], tonumber(log[5]), tonumber(log[6])
local lane = log[15] or ''
if not state then return {'NOLOG'} end
if state == 'closed' then return {'CLOSED'} end
if state == 'aborted' then return {'ABORTED', lane} end
if state == 'sealed' then return {'SEALED', log[10], lane} end
local others = owner ~= '' and owner ~= ARGV[1]
if others and lease > now then
  local gone = ARGV[2] == '1' and redis.call('PUBSUB', 'NUMSUB', 'w:' .. owner)[2] == 0
  if not gone then return {'HELD', owner, lease - now} end
end
if attempt == 0 and now > tonumber(log[9]) then return {'EXPIRED', lane} end

-- Poison: a worker that ended before it showed text is a death, text sets them back. Counted once: in quarantine nothing is.
local deaths, takeovers = tonumber(log[12] or 0), tonumber(log[13] or 0)
local quarantined = deaths >= 2 or takeovers >= 10
if not quarantined then
  if log[11] == '1' then deaths = 0 elseif others then deaths = deaths + 1 end
  if others then takeovers = takeovers + 1 end
end
if deaths >= 1 and ARGV[5] == '0' then return {'HELD', owner, 250} end
if deaths >= 2 or takeovers >= 10 then
  redis.call('HSET', KEYS[1], 'deaths', deaths, 'takeovers', takeovers)
  return {'QUARANTINE', lane}
end

local born = log[14]
if not born then
  local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
  born = first and string.match(first[1], '^%d+') or '0'
end
local epoch = new_epoch(log[2], tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], 'state', 'running', 'epoch', epoch, 'owner', ARGV[1], 'attempt', attempt + 1,
  'lease', string.format('%.0f', now + tonumber(ARGV[4])), 'spoke', 0, 'deaths', deaths, 'takeovers', takeovers)
return {'RUN', epoch, tonumber(log[3]), attempt + 1, tonumber(log[7]), tonumber(log[8]) > 0 and 1 or 0, deaths, born, lane}
