"""When servers end, and how many there may be."""
