"""What a release may change of what an earlier one left behind: tables, messages, records, state, section files.

releases/last/ holds the shapes and samples of the last release; the tests hold this one to them.
"""
