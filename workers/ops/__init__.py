"""Pure operators on pixels: no parameters of stages, no state. Stages, scores and inspect may import these."""
