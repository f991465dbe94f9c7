"""Starts, watches and stops single-user servers: all that happens on a host."""
