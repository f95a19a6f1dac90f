"""Shard layouts on disk: each format's writer and reader side by side."""
