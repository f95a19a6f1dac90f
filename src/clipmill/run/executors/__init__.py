"""Ways to run the same work over every shard that is not done."""
