"""Where bytes live: folders on any storage, atomic commits, tars with offsets, journals."""
