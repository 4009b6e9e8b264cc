-- Says that events are missing.
-- ARGV: the channel of all instances, the payload that says so. Answers the sequence.
lose(ARGV[first], ARGV[first + 1])
return sequence
