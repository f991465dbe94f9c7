"""auth as a process: what it says when it starts, and what it leaves when it ends."""

import asyncio
import json
import os
import secrets
import signal
import sys
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from cryptography.fernet import Fernet

from hubbub.testing.postgres import Database


def environment(tmp_path: Path, database: Database, config: str = "c.JupyterHub.authenticator_class = 'dummy'", **more):
    file = tmp_path / "jupyterhub_config.py"
    file.write_text(config)
    return {
        "PATH": os.environ["PATH"],
        "HUBBUB_INSTANCE": "auth-1",
        "HUBBUB_CONFIG": str(file),
        "HUBBUB_POSTGRES_URL": database.auth_dsn,
        "HUBBUB_COOKIE_SECRET": secrets.token_hex(32),
        "HUBBUB_VAULT_KEY": Fernet.generate_key().decode(),
        "HUBBUB_FORWARD_KEY": "forward-key",
        **more,
    }


async def start(env):
    command = (sys.executable, "-m", "hubbub_auth")
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, env=env, stdout=pipe, stderr=pipe)


async def test_it_announces_itself_answers_and_takes_itself_back(tmp_path, database: Database):
    process = await start(environment(tmp_path, database))
    ready = json.loads(await process.stderr.readline())
    connection = await asyncpg.connect(database.owner_dsn)
    row = await connection.fetchrow("select * from instances")
    about = json.loads(row["about"])
    assert (ready["event"], row["name"], row["service"]) == ("auth.ready", "auth-1", "auth")
    assert about["paths"] == ["api/oauth2/authorize", "api/oauth2/token", "login", "logout"]
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{about['url']}/hub/login") as answer:
            assert answer.status == 403
        async with session.get(f"{about['url']}/hub/login", headers={"X-Hubbub-Forward": "forward-key"}) as answer:
            assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"")
    assert await connection.fetchval("select count(*) from instances") == 0
    await connection.close()


@pytest.mark.parametrize(
    ("config", "more", "named"),
    [
        ("c.JupyterHub.authenticator_class = 'nonsense'", {}, "'nonsense'"),
        ("c.JupyterHub.authenticator_class = 'dummy'", {"HUBBUB_COOKIE_SECRET": "zz"}, "HUBBUB_COOKIE_SECRET"),
        ("c.JupyterHub.authenticator_class = 'dummy'", {"HUBBUB_VAULT_KEY": "zz"}, "HUBBUB_VAULT_KEY"),
        ("c.JupyterHub.authenticator_class = 'dummy'", {"HUBBUB_FORWARD_KEY": ""}, "HUBBUB_FORWARD_KEY"),
        ("c.JupyterHub.authenticator_class = 'dummy'", {"HUBBUB_AUTH_BIND": "0.0.0.0:0"}, "HUBBUB_AUTH_BIND"),
        ("c.JupyterHub.authenticator_class = 'dummy'", {"HUBBUB_AUTH_BIND": "192.0.2.1:80"}, "HUBBUB_AUTH_BIND"),
    ],
)
async def test_a_wrong_configuration_is_named_and_final(tmp_path, database: Database, config, more, named):
    process = await start(environment(tmp_path, database, config, **more))
    _, err = await process.communicate()
    assert process.returncode == 78
    assert named in err.decode().strip().splitlines()[-1]


#: An authenticator that manages groups and roles without being told to.
MANAGES = """
from hubbub_auth.authenticators import DummyAuthenticator
class Managing(DummyAuthenticator):
    def __init__(self, **more):
        super().__init__(**more)
        self.manage_groups = self.manage_roles = True
c.JupyterHub.authenticator_class = Managing
"""


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ("c.JupyterHub.load_groups = {'class': ['ada']}", "c.JupyterHub.load_groups is set, but"),
        ("c.JupyterHub.load_roles = [{'name': 'teacher', 'users': ['ada']}]", "c.JupyterHub.load_roles cannot give"),
    ],
)
async def test_what_logins_bring_nobody_else_may_declare(tmp_path, database: Database, config, named):
    process = await start(environment(tmp_path, database, MANAGES + config))
    _, err = await process.communicate()
    assert process.returncode == 78
    assert named in err.decode() and "Traceback" not in err.decode()


async def test_a_database_of_another_release_is_refused(tmp_path, database: Database):
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute("insert into migrations values (99999, 'from the future', true)")
    await connection.close()
    process = await start(environment(tmp_path, database))
    _, err = await process.communicate()
    assert (process.returncode, "99999" in err.decode()) == (78, True)
