-- Takes leases back. Who is gone with the last one is told.
-- ARGV: for each lease channel, account and connection. Answers the sequence.
for next = first, #ARGV, 2 do
  leave(ARGV[next], ARGV[next + 1])
end
return sequence
