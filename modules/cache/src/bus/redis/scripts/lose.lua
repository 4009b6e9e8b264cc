-- Says that events are missing here, to those who listen and to those who come back.
-- ARGV: the channel of all instances, the payload that says so. Answers the sequence.
local before = sequence
emit({ ARGV[first] }, ARGV[first + 1])
if sequence == before then
  advance()
end
call('SET', own .. 'lost', sequence)
return sequence
