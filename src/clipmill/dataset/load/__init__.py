"""From a dataset to batches for training: which samples when, which frames of them, as arrays."""
