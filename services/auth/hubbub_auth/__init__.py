"""auth: who somebody is. Login, logout, sessions, and the OAuth2 provider that servers and services ask."""
