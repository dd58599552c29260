"""How good restoration is: figures over real media and made truths, beside their bars and other tools.

``python -m benchmarks.restoration MEDIA`` writes ``docs/restoration.md``; MEDIA is a folder with the films and photos
that the chapters name.
"""
