-- Put before the scripts that ask for it. Time is Redis' own, in milliseconds; numbers above 10^14 are written with %.0f, for Lua would round them.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- An epoch that was never used, not even by an earlier log of this generation (below 2^53). `chance`: below 1024.
local function new_epoch(stored, chance)
  local minted = now * 1024 + chance
  return string.format('%.0f', math.max(minted, (tonumber(stored) or 0) + 1 + chance))
end

-- Add events to the log as they stand from seq `seq` on, and publish them. Gives the last id.
local function add(stream, channel, epoch, seq, events)
  local lines, id = {}, nil
  for _, event in ipairs(events) do
    id = epoch .. '-' .. seq
    redis.call('XADD', stream, id, 'e', event, 'n', 0)
    lines[#lines + 1] = id .. ' ' .. event
    seq = seq + 1
  end
  redis.call('PUBLISH', channel, table.concat(lines, '\n'))
  return id
end

