"""Servers that nobody uses are stopped within seconds; those of cleo end whoever is there, those of dora never."""

from pathlib import Path

c = get_config()  # noqa: F821
load_subconfig("config_standin.py", path=str(Path(__file__).parent))  # noqa: F821

c.Hubbub.cull = {
    "idle": 4,
    "rules": [
        {"users": ["cleo"], "idle": 0, "longest": 6},
        {"users": ["dora"], "idle": 0},
        {"groups": ["patient"], "idle": 3600},
    ],
}
c.JupyterHub.load_roles[0]["scopes"] += ["admin:groups", "groups"]
