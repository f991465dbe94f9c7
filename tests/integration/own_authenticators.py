"""Authenticators as tutorials have operators write them: lines for a configuration, and the file that they read."""

import json
from pathlib import Path

from login_suite import CAST, RIGHT

BY_US, BY_JUPYTERHUB = "hubbub_auth.authenticators", "jupyterhub.auth"

_CLASS = '''
import json
import os
from pathlib import Path

from MODULE import Authenticator


class Register(Authenticator):
    """Whoever is in a file may come in, with the password that is there."""

    def found(self, name):
        person = json.loads(Path(os.environ["TEST_REGISTER"]).read_text()).get(name)
        if person is None:
            return None
        groups = person["groups"]
        return {
            "name": name,
            "auth_state": {"upstream_token": f"{person['token']}-of-{name}"},
            "groups": groups,
            "roles": [{"name": f"reader-of-{group}", "scopes": ["read:hub"]} for group in groups],
        }

    async def authenticate(self, handler, data):
        people = json.loads(Path(os.environ["TEST_REGISTER"]).read_text())
        if people.get(data["username"], {}).get("password") != data["password"]:
            return None
        return self.found(data["username"])

    async def refresh_user(self, user, handler=None):
        return self.found(user.name) or False

    async def pre_spawn_start(self, user, spawner):
        """Pass what the login has brought on to the server."""
        auth_state = await user.get_auth_state()
        spawner.environment["UPSTREAM_TOKEN"] = auth_state["upstream_token"]


c.JupyterHub.authenticator_class = Register
c.Authenticator.enable_auth_state = True
c.Authenticator.auth_refresh_age = 1
c.Authenticator.manage_groups = True
c.Authenticator.manage_roles = True
'''


def register(module: str) -> str:
    """Lines of a configuration, with the class derived from that Authenticator."""
    return _CLASS.replace("MODULE", module)


class People:
    """The file: everybody of the cast, and grace, who comes in as ghopper."""

    token = "token-that-only-the-worker-reads"

    def __init__(self, path: Path) -> None:
        self.path = path
        people = {
            name: {"password": RIGHT, "token": self.token, "groups": ["crew", "staff"] if name == "gus" else []}
            for name in (*CAST, "grace")
        }
        self._write(people)

    def revoke(self, name: str) -> None:
        people = json.loads(self.path.read_text())
        del people[name]
        self._write(people)

    def regroup(self, name: str, groups: list[str]) -> None:
        people = json.loads(self.path.read_text())
        people[name]["groups"] = groups
        self._write(people)

    def _write(self, people: object) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(people))
        new.rename(self.path)
