"""A made-up month that the whole path is shown on: usage, owners, plans, and the providers' bills.

Everything here is deterministic and pure: the same number of events gives the same bytes.
"""
