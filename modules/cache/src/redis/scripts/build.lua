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
local mark = redis.call('GET', set.mark)

-- Takes the token away. Whether it was there.
local function take()
  local builders = '.' .. (redis.call('GET', set.builders) or '')
  local from, to = builders:find('.' .. token .. '.', 1, true)
  if not from then
    return false
  end
  local rest = builders:sub(2, from) .. builders:sub(to + 1)
  if rest == '' then
    redis.call('DEL', set.builders)
  else
    redis.call('SET', set.builders, rest, 'KEEPTTL')
  end
  return true
end

if not take() or reach == '' or (after ~= '' and not covers(mark, after)) then
  -- The entries of a set that is of no use to anybody.
  if not mark and redis.call('EXISTS', set.builders) == 0 then
    redis.call('DEL', set.entries)
  end
  return 0
end
while arguments_taken < #ARGV do
  put(set, argument(), argument())
end
local is_complete = mark and reach_of(mark) == 'E'
if not is_complete and (reach == 'E' or not covers(mark, reach:sub(2))) then
  redis.call('SET', set.mark, next_stamp() .. reach)
end
cut_back(set)
return 1
