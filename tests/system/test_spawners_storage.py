"""What kubespawner stores for a person outlives their servers, and goes with the person: `delete_forever`."""

import sys
from pathlib import Path
from typing import Any

import pytest
from rigs.kube import KubeRig
from rigs.people import STANDIN

from stack import HERE, eventually, hub

pytestmark = pytest.mark.system

CONFIG = f"""
load_subconfig({str(HERE / "config_suite.py")!r})
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.Spawner.cmd = [{sys.executable!r}, {str(STANDIN)!r}]
c.KubeSpawner.image = "hubbub/standin:1"
c.KubeSpawner.delete_grace_period = 2
c.KubeSpawner.storage_pvc_ensure = True
c.KubeSpawner.storage_capacity = "1Gi"
"""


async def test_a_volume_claim_goes_with_its_person(tmp_path: Path, kube: KubeRig):
    def claims() -> list[dict[str, Any]]:
        return list(kube._ask("GET", "persistentvolumeclaims")["items"])

    config = tmp_path / "config.py"
    config.write_text(CONFIG)
    async with hub(tmp_path / "data", config=config, environ=kube.environ) as house:
        await house.user("ada")
        status, body = await house.api("POST", "/users/ada/server")
        assert status == 201, (body, house.logs())
        [claim] = claims()
        assert (await house.api("DELETE", "/users/ada/server"))[0] == 204
        status, model = await house.api("GET", "/users/ada/server")
        assert model["state"]["pvc_name"] == claim["metadata"]["name"]
        assert claims()
        assert (await house.api("DELETE", "/users/ada"))[0] == 204

        async def none_is_left() -> bool:
            return not claims()

        await eventually(none_is_left, 20, "the claim is deleted")
        assert kube.pods() == []
