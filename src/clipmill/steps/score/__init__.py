"""Steps that measure: numbers for every frame, and what they come to over a sample."""
