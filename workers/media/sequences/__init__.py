"""Image sequences: numbered files that make one reel."""
