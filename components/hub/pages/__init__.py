"""What the hub shows while a server starts."""
