"""Users' homes: whose they are, and who makes them."""
