"""Packets of evidence: signed, printed, kept in the evidence bucket and read again."""
