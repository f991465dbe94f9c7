"""The commands that ask a hub over its REST API: from anywhere, with a token; without one on the hub's own machine."""
