"""The bounded job on several engines: python -m engines proves that all of them give the same results."""
