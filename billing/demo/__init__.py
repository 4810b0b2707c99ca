"""A made-up month that the whole path is shown on, and the path itself.

Usage, owners, plans and the providers' bills are pure and deterministic: the same number of events
gives the same bytes. `journey` then takes them through the product, `checks` holds it to them.
"""
