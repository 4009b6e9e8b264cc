#!lua flags=allow-oom
-- Refuses from now on what an instance may still announce.
--
-- Keys: the epoch, the instance's fence.

redis.call('SET', key(), 1)
return redis.status_reply('OK')
