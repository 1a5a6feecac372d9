"""What a research cluster is made of: one package per component, each of the same shape."""
