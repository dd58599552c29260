"""Files of weights: read without trusting them, recognised, filled in, and kept for a process."""
