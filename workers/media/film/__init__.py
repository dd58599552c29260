"""Film files: read, looked through, encoded losslessly, put together again."""
