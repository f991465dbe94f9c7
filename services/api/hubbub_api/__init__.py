"""The REST API and the pages of Hubbub, and the answers to those who know only the bus."""
