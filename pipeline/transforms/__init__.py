"""Adapters between the domain and Beam."""
