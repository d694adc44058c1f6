-- with prelude.lua
-- KEYS limit:KEY   ARGV limit window(µs)
-- allowed(0|1) remaining retry_after_ms reset_ms. GCRA: the key holds the theoretical arrival time, in µs of Redis' clock.
local at = time[1] * 1000000 + time[2]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local step = window / limit
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), at)
local after = arrival + step
if after - at > window + 1 then
  return {0, 0, math.max(1, math.ceil((after - window - at) / 1000)), math.ceil((arrival - at) / 1000)}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.max(1, math.ceil((after - at) / 1000)))
return {1, math.floor((window - (after - at)) / step + 0.001), 0, math.ceil((after - at) / 1000)}
