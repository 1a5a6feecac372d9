"""Resource graphs as plain data: property values, the recorder, canonical form, differences, policy rules."""
