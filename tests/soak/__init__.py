"""A soak: an installation restores job after job while everything that may go wrong does. ``make chaos`` runs it.

It is no test of ``make test``: it takes as long as it is given. After each round the invariants are checked, and the
pictures are compared, bit for bit, with those of a round in which nothing went wrong.
"""
