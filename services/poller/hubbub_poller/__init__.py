"""The poller: the heartbeat of the house."""
