#!lua flags=no-writes
-- The documents in a pending list, where the lists are complete for an epoch of the recent tier.
--
-- Keys: the epoch, the state of the lists, the list.
-- Arguments: the epoch of the recent tier, how many documents at most.
-- Returns their ids, one behind the other, or nil.

if redis.call('GET', key()) ~= 'O' .. argument() then
  return false
end
local list = key()
if redis.call('HLEN', list) > tonumber(argument()) then
  return false
end
return table.concat(redis.call('HKEYS', list))
