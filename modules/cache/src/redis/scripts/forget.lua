#!lua flags=allow-oom
-- Forgets sets. What is under way is in the records.
--
-- Keys: the epoch; of each set its own.
-- Returns of each 1 where something was forgotten, else 0.

local forgotten = {}
while is_more() do
  local set = set_keys()
  local count = redis.call('DEL', set.entries, set.mark, set.builders)
  forgotten[#forgotten + 1] = count > 0 and 1 or 0
end
return forgotten
