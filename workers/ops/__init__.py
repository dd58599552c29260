"""Pure operators on pixels: no parameters of stages, no state."""
