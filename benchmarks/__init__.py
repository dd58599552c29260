"""Ratios against bounds: each figure is measured beside what limits it, in one run. Run with ``make bench``."""
