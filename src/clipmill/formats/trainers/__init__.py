"""What trainers of video models take: which clips, and laid out how."""
