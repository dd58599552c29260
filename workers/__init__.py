"""What is done: probe, inspect, restore, assemble, score. Imports ``db``, never ``orchestrator``."""
