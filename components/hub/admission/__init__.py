"""What the API server refuses the hub, whatever the hub says."""
