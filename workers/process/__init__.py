"""How a worker process lives: it registers, beats, takes a lease, answers with exactly one outcome."""
