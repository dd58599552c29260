"""Photos and single frames: their formats in and out, with all that they carry."""
