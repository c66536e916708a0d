"""Section speed enforcement: an Apache Beam pipeline from camera sightings to fines."""

__version__ = "0.1.0"
