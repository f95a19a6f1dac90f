"""What you hold: a finished or growing dataset, opened for reading."""
