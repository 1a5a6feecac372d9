"""What third-party charts and custom resources accept, and whether this program keeps to it."""
