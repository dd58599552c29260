"""What is decided: reads manifests, plans, dispatches, reconciles, reports. Imports ``db``, never a pixel."""
