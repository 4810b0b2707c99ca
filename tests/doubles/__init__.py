"""Stand-ins for systems outside that cannot be had offline: small, stateful, over real HTTP."""
