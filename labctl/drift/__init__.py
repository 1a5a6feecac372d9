"""What differs between hosts and their plan: asked of all hosts at once, one command each, changing nothing."""
