"""Users' own user and group ids."""
