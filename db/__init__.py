"""What is written down and how it is spelled: records, vocabulary, catalogue, blobs and messages.

The floor of the house: imports nothing of ``orchestrator`` or ``workers`` and never a library that touches pixels.
"""
