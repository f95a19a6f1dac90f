"""From a URL to bytes in a local file, with manners."""
