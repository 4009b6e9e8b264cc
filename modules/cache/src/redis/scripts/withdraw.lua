#!lua flags=allow-oom
-- Takes entries of new documents of other partitions out of sets that they have not entered after all.
--
-- Keys: the epoch; of each document the entries of the sets.
-- Arguments: of each document the number of the sets, and its entry in each.
-- Returns of each 1.

local done = {}
while is_more() do
  for _ = 1, tonumber(argument()) do
    redis.call('ZREM', key(), argument())
  end
  done[#done + 1] = 1
end
return done
