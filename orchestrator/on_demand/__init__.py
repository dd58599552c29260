"""What needs pixels while somebody waits: asked of a child process that has them."""
