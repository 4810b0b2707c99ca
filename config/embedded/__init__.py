"""A real PostgreSQL and a real Valkey without installing either.

Used when `DATABASE_URL` or `REDIS_URL` is not set. The servers start when somebody connects for
the first time, keep running, and are stopped by `python -m config.embedded stop`. They listen on
unix sockets in a folder that only their own user (and root) can enter; that folder is the whole
of their access control, so inside it no passwords are asked. Commits are as durable as in
production: `fsync` and `synchronous_commit` are on.
"""
