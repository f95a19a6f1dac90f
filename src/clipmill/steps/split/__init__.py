"""From one source to virtual clips: cut detectors, and the rules that make spans of cuts."""
