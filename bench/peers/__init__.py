"""What a user would write instead, each the idiomatic best of its kind, for the bare job that job.py describes."""
