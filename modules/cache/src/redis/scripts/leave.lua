#!lua flags=allow-oom
-- Takes documents of other partitions out of sets that they have left. A batch has settled them.
--
-- Keys: the epoch; of each document the entries of the sets that it has left.
-- Arguments: of each document the revision that it had where it has left, the number of those sets, and
-- the position that it had in each.
-- Returns of each 1.

local done = {}
while is_more() do
  local left_at = argument()
  for _ = 1, tonumber(argument()) do
    leave(key(), argument(), left_at)
  end
  done[#done + 1] = 1
end
return done
