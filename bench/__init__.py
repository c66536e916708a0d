"""Measurements of the real job on this machine: python -m bench."""
