"""The web face: what the command line can do, for people who look and for programs.

``guard`` stands outermost and lets in what may ask at all, ``auth`` says who asks and what they may; ``api`` answers
programs, ``pages`` people. All changes go through ``db.ledger``, all reads through ``db.progress`` and ``db.pages``.
"""
