"""Things users have (tables, folders, shards, hub datasets) read as rows of samples."""
