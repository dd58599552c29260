"""What votes of people come to: a ranking with its doubts, and how far the votes can be trusted."""
