#!lua flags=no-writes
-- What stands in sets behind a position, all of them seen at one moment.
--
-- Keys: the epoch, its stamp; of each set its entries and its mark.
-- Arguments: how many of each at most; the position, or nothing.
-- Returns the epoch's stamp; of each set its mark, or nil where nobody has built it, and members down
-- to the mark.

local most, after = argument(), argument()
local from = after == '' and '-' or '(' .. after .. ABOVE
local found = { redis.call('GET', key()) }
while is_more() do
  local entries, mark = key(), redis.call('GET', key())
  local members = {}
  if mark then
    local reach = reach_of(mark)
    local to = reach == 'E' and '+' or '(' .. reach:sub(2) .. ABOVE
    members = redis.call('ZRANGEBYLEX', entries, from, to, 'LIMIT', 0, most)
  end
  found[#found + 1] = { mark, members }
end
return found
