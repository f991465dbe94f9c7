"""The configuration of the other integration tests, with the services and roles of one test's own."""

import json
import os

c = get_config()  # noqa: F821
load_subconfig("config_standin.py")  # noqa: F821
c.JupyterHub.services += json.loads(os.environ["TEST_SERVICES"])
c.JupyterHub.load_roles += json.loads(os.environ["TEST_ROLES"])
