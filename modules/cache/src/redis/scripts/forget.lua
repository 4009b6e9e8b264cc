#!lua flags=allow-oom
-- Forgets sets but for what some batch is about to commit.
--
-- Keys: the epoch; the sets.
-- Arguments: 1 where sets with anything that must stay are to stay as they are, else 0.
-- Returns of each 1 where it was forgotten, else 0.

local is_spared = argument() == '1'
local forgotten = {}
while is_more() do
  local set = set_keys()
  if redis.call('EXISTS', set.pins) == 0 then
    redis.call('DEL', set.entries, set.mark, set.builders)
    forgotten[#forgotten + 1] = 1
  elseif is_spared then
    forgotten[#forgotten + 1] = 0
  else
    remove(set, unpinned(set, redis.call('ZRANGE', set.entries, 0, -1)))
    redis.call('DEL', set.mark, set.builders)
    forgotten[#forgotten + 1] = 1
  end
end
return forgotten
