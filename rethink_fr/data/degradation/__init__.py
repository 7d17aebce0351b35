"""How clean images are degraded."""
