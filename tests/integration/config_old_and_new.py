"""A hub of two releases: nobody's server ends with it, and the tests' service may do more than in others."""

from pathlib import Path

c = get_config()  # noqa: F821
load_subconfig(str(Path(__file__).parent / "config_several.py"))  # noqa: F821

c.JupyterHub.load_roles[0]["scopes"] += ["admin:groups", "shares"]
