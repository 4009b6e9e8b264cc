#!lua
-- Adds a stretch of members to a set, if the build token is still there and nothing is missing down
-- to where the stretch begins.
--
-- Keys: the epoch; the set.
-- Arguments: the token; where the stretch begins, or nothing; the mark that it sets, or nothing; then
-- of each member its position and revision.
-- Returns 1 where it counts, else 0.

local set = set_keys()
local token, after, reach = argument(), argument(), argument()
if redis.call('LREM', set.builders, 1, token) == 0 then
  tidy(set)
  return 0
end
local mark = redis.call('GET', set.mark)
if reach == '' or (after ~= '' and not covers(mark, after)) then
  tidy(set)
  return 0
end
while arguments_taken < #ARGV do
  put(set, argument(), argument())
end
local is_further = mark ~= 'E' and (reach == 'E' or not covers(mark, reach:sub(2)))
if is_further then
  redis.call('SET', set.mark, reach)
end
cut_back(set)
return 1
