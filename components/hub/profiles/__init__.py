"""What users choose from: profiles, their choices, their images."""
