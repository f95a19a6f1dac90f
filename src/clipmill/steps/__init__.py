"""What is done to samples: one step per file, run in the media processes, fed by one decode."""
