"""The REST API for programs, one module a noun; what it answers with is what `--json` prints."""
