"""Judges pictures by references: measures, reference sets, runs of models.

``measures`` is pure: torch, numpy, OpenCV and the standard library, so that training may use it on a bare machine.
"""
