"""A Pub/Sub server: Google's protocol and documented behaviour, in memory, for one machine."""
