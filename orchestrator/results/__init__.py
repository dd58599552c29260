"""What becomes of finished work: reports, exports, bags, records, signatures, verification."""
