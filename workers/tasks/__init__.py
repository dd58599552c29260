"""What a leased task does: probe, inspect, merge, restore, read back, assemble, and what only these need."""
