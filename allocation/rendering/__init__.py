"""A statement as others read it: JSON and CSV for programs, a page for people.

Each file here takes a finished `allocation.domain.statements.Statement` and gives text; nothing
here reads rows, asks the clock or changes an amount.
"""
