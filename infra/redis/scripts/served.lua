-- KEYS service:<pool>   ARGV model ms most keep
-- OK. The moving mean: a fifth of it is the newest. Where too many models are known, any other one is forgotten.
local mean, ms = redis.call('HGET', KEYS[1], ARGV[1]), tonumber(ARGV[2])
if mean then
  ms = 0.8 * tonumber(mean) + 0.2 * ms
elseif redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then
  redis.call('HDEL', KEYS[1], redis.call('HRANDFIELD', KEYS[1]))
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.17g', ms))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'OK'}
