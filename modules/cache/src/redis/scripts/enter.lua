#!lua
-- Puts documents of other partitions into the sets that they are about to enter, where those are read,
-- unless the instance is fenced. They have their tokens, and there are records of them already.
--
-- Keys: the epoch, its stamp, the instance's fence; of each document the sets where it will stand, then
-- the marks of those where it stands.
-- Arguments: of each document 1 where it was never there before, else 0; the number of the sets where it
-- will stand, its revision, and its position in each; the number of those where it stands, or nothing
-- where nobody knows.
-- Returns of each 1 where it stands in a set that somebody has built, else 0.

local epoch_stamp = key()
if redis.call('EXISTS', key()) == 1 then
  return redis.error_reply('FENCED the instance is fenced')
end
local read = {}
while arguments_taken < #ARGV do
  local is_new = argument() == '1'
  read[#read + 1] = enter(epoch_stamp, is_new) and 1 or 0
end
return read
