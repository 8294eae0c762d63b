"""The evidence: what the book's claims are measured by."""
