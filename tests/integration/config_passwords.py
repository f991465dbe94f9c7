"""For tests of the password table under a whole hub: of little cost, with sign-up."""

c = get_config()  # noqa: F821

c.JupyterHub.authenticator_class = "hubbub-passwords"
c.JupyterHub.redirect_to_server = False
c.Authenticator.admin_users = {"root"}
c.PasswordAuthenticator.enable_signup = True
c.PasswordAuthenticator.time_cost = 1
c.PasswordAuthenticator.memory_cost = 7168
c.PasswordAuthenticator.hash_processes = 1
c.JupyterHub.services = [{"name": "test", "api_token": "token-of-the-test-service"}]
c.JupyterHub.load_roles = [
    {"name": "test", "services": ["test"], "scopes": ["list:users", "read:servers", "read:hub", "admin:servers"]}
]
