"""What a lab says of itself: whom to ask, and pure parsers of the answers."""
