"""Maintenance of PostgreSQL databases, a folder for each subject. Every subject has the same rooms as `indexes`."""
