"""The OAuth2 provider (RFC 6749, authorization code with PKCE): how servers and services learn who is there."""
