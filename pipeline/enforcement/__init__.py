"""The domain of section speed enforcement: plain typed Python, without Beam, Google, clock or network."""
