"""What somebody asks for and waits for, outside the queue: one answer, or one a line."""
