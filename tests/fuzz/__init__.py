"""Fuzzing by coverage: ``make fuzz``, or ``python -m tests.fuzz TARGET [SECONDS]``; needs ``pip install atheris``.

What is found stays as a file in ``corpus/TARGET``, which ``make test`` reads again (``test_corpus.py``).

Coverage is that of Python: our own readers, Pillow's plugins, PyYAML. FFmpeg, libtiff, OpenJPEG, OpenEXR and PyTorch
are native and not instrumented here, so nothing leads the search through them; inputs for them are changed along their
own structure instead (``mutators.py``).
"""
