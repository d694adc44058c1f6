-- with prelude.lua
-- KEYS {g:ID} {g:ID}:s   ARGV chance uid question accepted starts deadline extra lane
-- OK epoch | EXISTS state
local state = redis.call('HGET', KEYS[1], 'state')
if state then return {'EXISTS', state} end

local epoch = new_epoch(0, tonumber(ARGV[1]))
redis.call('HSET', KEYS[1],
  'state', 'admitted', 'epoch', epoch, 'next', 1, 'owner', '', 'lease', string.format('%.0f', now), 'attempt', 0,
  'progress', 0, 'cancel', 0, 'uid', ARGV[2], 'question', ARGV[3], 'starts', ARGV[5], 'deadline', ARGV[6],
  'last_id', epoch .. '-0', 'born', epoch, 'lane', ARGV[8])
redis.call('DEL', KEYS[2])
redis.call('XADD', KEYS[2], epoch .. '-0', 'e', ARGV[4], 'n', 0)
local expires = string.format('%.0f', tonumber(ARGV[6]) + tonumber(ARGV[7]))
redis.call('PEXPIREAT', KEYS[1], expires)
redis.call('PEXPIREAT', KEYS[2], expires)
return {'OK', epoch}
