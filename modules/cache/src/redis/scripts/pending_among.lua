#!lua flags=no-writes
-- Which of some documents are in a pending list, where the lists are complete for an epoch of the
-- recent tier.
--
-- Keys: the epoch, the state of the lists, the list.
-- Arguments: the epoch of the recent tier; the ids.
-- Returns of each a '1' where it is, else a '0', one behind the other; or nil.

if redis.call('GET', key()) ~= 'O' .. argument() then
  return false
end
local found = redis.call('HMGET', key(), unpack(ARGV, 2))
for at = 1, #found do
  found[at] = found[at] and '1' or '0'
end
return table.concat(found)
