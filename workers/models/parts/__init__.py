"""Building blocks that architectures share; nothing here is a network of its own in the catalogue."""
