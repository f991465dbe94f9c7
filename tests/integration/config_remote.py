"""The configuration of the other integration tests, for workers that have another data folder than the hub."""

import os

c = get_config()  # noqa: F821
load_subconfig("config_standin.py")  # noqa: F821

c.SimpleLocalProcessSpawner.home_dir_template = os.environ["TEST_HOMES"] + "/{username}"
c.Hubbub.pools = {"far": {"users": ["bea"]}}
c.Hubbub.adoption_timeout = 5
c.Hubbub.spawn_retries = 0
