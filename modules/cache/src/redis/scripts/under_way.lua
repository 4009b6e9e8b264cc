#!lua flags=no-writes
-- Whether any of some records is still there.
--
-- Keys: the epoch, the records.
-- Arguments: their names.
-- Returns 1 where one is, else 0.

local records = key()
for _, name in ipairs(ARGV) do
  if redis.call('HEXISTS', records, name) == 1 then
    return 1
  end
end
return 0
