-- An instance has told all it had to tell, and ends. ARGV: instance. Answers the sequence.
call('ZREM', own .. 'instances', ARGV[first])
return sequence
