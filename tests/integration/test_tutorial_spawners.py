"""Classes as JupyterHub's tutorials have people write them, derived from JupyterHub's own."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from browser import Browser
from spawner_suite import Kind, SpawnerSuite, Stage, base_of
from stack import Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORM = '''
import shlex

from jupyterhub.spawner import SimpleLocalProcessSpawner


class FormSpawner(SimpleLocalProcessSpawner):
    """Extra arguments, and variables of the environment, from an options form."""

    def _options_form_default(self):
        before = shlex.join(self.user_options.get("argv", []))
        return f"""
        <label for="args">Arguments</label> <input name="args" value="{before}">
        <label for="env">Variables, one a line</label> <textarea name="env"></textarea>
        """

    def options_from_form(self, formdata):
        lines = formdata.get("env", [""])[0].splitlines()
        env = dict(line.strip().split("=", 1) for line in lines if line.strip())
        return {"env": env, "argv": shlex.split(formdata.get("args", [""])[0])}

    def get_args(self):
        return super().get_args() + self.user_options.get("argv", [])

    def get_env(self):
        return {**super().get_env(), **self.user_options.get("env", {})}


c.JupyterHub.spawner_class = FormSpawner
'''


class TestFormSpawner(SpawnerSuite):
    """The suite, which asks the API and so sees no form."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        return Kind(config=FORM, options={"argv": ["--from=options"], "env": {"STANDIN_COURSE": "logic"}})

    async def test_its_options_reach_the_server(self, stage: Stage):
        await stage.run()
        said = await stage.answers()
        assert said["args"] == ["--from=options"]
        assert said["env"]["STANDIN_COURSE"] == "logic"
        await stage.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    folder = tmp_path_factory.mktemp("tutorial")
    config = folder / "config.py"
    config.write_text(base_of(FORM))
    async with hub(folder / "data", config=config) as made:
        yield made


async def test_a_person_fills_in_the_form(house: Hub):
    async with Browser(house.url) as browser:
        await browser.login("ada", "password-of-everyone")
        status, page = await browser.get("/hub/spawn/ada")
        assert status == 200
        assert '<textarea name="env">' in page
        fields = {
            "_xsrf": browser.cookie("_xsrf"),
            "args": "--flavour='of the day'",
            "env": "STANDIN_A=1\nSTANDIN_B=b=2\n",
        }
        async with browser.session.post(
            browser.base.join(URL("/hub/spawn/ada")), data=aiohttp.FormData(fields)
        ) as sent:
            assert sent.status == 200, await sent.text()

    async def answers() -> Any:
        return await house.standin("ada")

    said = await eventually(answers, 30, "the server has started")
    assert said["args"] == ["--flavour=of the day"]
    assert (said["env"]["STANDIN_A"], said["env"]["STANDIN_B"]) == ("1", "b=2")
    server = (await house.model("ada"))["servers"][""]
    assert server["user_options"]["argv"] == ["--flavour=of the day"], json.dumps(server)
