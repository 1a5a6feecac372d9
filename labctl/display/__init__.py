"""What a person or a pipeline sees: previews, progress, JSON in the shape of the official CLI."""
