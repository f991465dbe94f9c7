"""Keeping the log: backups, archives, and what is made of them again (ADR 31)."""
