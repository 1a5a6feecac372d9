"""Who signs in, and by which provider."""
