"""The policy pack of the official engine; see docs/rules.md."""
