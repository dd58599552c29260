"""Worker processes on this machine: what each is given, how it is started, kept and ended, and errands."""
