"""What has to happen at once in the server, as Lua: claims, commits, the sweep for what nobody serves.

A world's hash holds how it was made, how far it is, who owns it, and the fence: the number of its owner's claim,
from one counter for all worlds, so that no number ever comes back. A node is alive as long as its key is.
"""

from __future__ import annotations

__all__ = ["CLAIM", "COMMIT", "RELEASE", "SWEEP"]

# KEYS: world, fence counter, my node's key. ARGV: my node, keys of nodes, may make it, the fence I had, my address,
# my lease (ms). Gives {} for no such world, {owner, address} for another's, {fence, was it still mine}.
CLAIM = """
redis.call('SET', KEYS[3], ARGV[5], 'PX', ARGV[6])
if ARGV[3] == '0' and redis.call('HEXISTS', KEYS[1], 'made') == 0 then return {} end
local known = redis.call('HMGET', KEYS[1], 'owner', 'fence')
local owner = known[1]
if owner == ARGV[1] and known[2] == ARGV[4] then return {ARGV[4], '1'} end
if owner and owner ~= '' and owner ~= ARGV[1] then
  local address = redis.call('GET', ARGV[2] .. owner)
  if address then return {'', owner, address} end
end
local fence = tostring(redis.call('INCR', KEYS[2]))
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'fence', fence)
return {fence, '0'}
"""

# KEYS: world, facts, journal, due, worlds. ARGV: fence, world, then operations. All of them, or 0 and none.
#   S key count field value ...   D key count field ...   R key from to (fields that are numbers, both included: gone)
#   T moment ("" for nothing due)   X (the world is forgotten)
# `count`: of the arguments that come after it.
COMMIT = """
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return 0 end
local i = 3
while i <= #ARGV do
  local what, key = ARGV[i], KEYS[tonumber(ARGV[i + 1])]
  if what == 'S' or what == 'D' then
    local last = i + 2 + tonumber(ARGV[i + 2])
    redis.call(what == 'S' and 'HSET' or 'HDEL', key, unpack(ARGV, i + 3, last))
    i = last + 1
  elseif what == 'R' then
    local gone, last = {}, tonumber(ARGV[i + 3])
    for number = tonumber(ARGV[i + 2]), last do
      gone[#gone + 1] = number
      if #gone == 1000 or number == last then
        redis.call('HDEL', key, unpack(gone))
        gone = {}
      end
    end
    i = i + 4
  elseif what == 'T' then
    if ARGV[i + 1] == '' then redis.call('ZREM', KEYS[4], ARGV[2])
    else redis.call('ZADD', KEYS[4], ARGV[i + 1], ARGV[2]) end
    i = i + 2
  else
    redis.call('UNLINK', KEYS[2], KEYS[3])
    redis.call('HDEL', KEYS[1], 'made', 'state')
    redis.call('ZREM', KEYS[4], ARGV[2])
    i = i + 1
  end
end
if redis.call('HEXISTS', KEYS[1], 'made') == 1 then redis.call('SADD', KEYS[5], ARGV[2])
else
  redis.call('SREM', KEYS[5], ARGV[2])
  redis.call('DEL', KEYS[1])
end
return 1
"""

# KEYS: world. ARGV: fence. A world that was claimed and never made leaves nothing.
RELEASE = """
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return 0 end
if redis.call('HEXISTS', KEYS[1], 'made') == 0 then redis.call('DEL', KEYS[1])
else redis.call('HSET', KEYS[1], 'owner', '') end
return 1
"""

# KEYS: due. ARGV: now, keys of worlds, keys of nodes, how many at most. Gives the worlds that are due and no node's.
SWEEP = """
local found = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE')) do
  local owner = redis.call('HGET', ARGV[2] .. name, 'owner')
  if not owner or owner == '' or redis.call('EXISTS', ARGV[3] .. owner) == 0 then
    found[#found + 1] = name
    if #found >= tonumber(ARGV[4]) then break end
  end
end
return found
"""
