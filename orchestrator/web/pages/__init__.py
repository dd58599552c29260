"""Pages for people, one module a noun; every one works without script."""
