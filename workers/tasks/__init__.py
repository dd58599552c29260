"""What a leased task does: probe, inspect, merge, restore, assemble, and what only these need."""
