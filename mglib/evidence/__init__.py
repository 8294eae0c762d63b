"""The evidence: each claim as a measurement that could have failed."""
