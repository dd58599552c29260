"""What exists, as data: stages, metrics and weights. Imports nothing that touches pixels.

A stage, architecture or metric called ``x`` is one entry here plus one module ``x`` in
``workers/{stages,models,scores}``, imported by name on first use.
"""
