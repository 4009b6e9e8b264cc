//! Single failures, and what becomes of the cache.
