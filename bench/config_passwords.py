"""The measured hub with accounts of its own: Argon2id at OWASP's minimum, and as many accounts as there are names."""

import os

c = get_config()  # noqa: F821
load_subconfig("config_hubbub.py")  # noqa: F821

c.JupyterHub.authenticator_class = "hubbub-passwords"
c.PasswordAuthenticator.enable_signup = True
c.PasswordAuthenticator.require_approval = False
c.PasswordAuthenticator.signups_per_hour = 1_000_000
c.PasswordAuthenticator.hash_processes = int(os.environ.get("BENCH_HASHERS", "2"))
