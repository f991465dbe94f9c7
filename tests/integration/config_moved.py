"""The configuration of the other integration tests, behind a proxy that others keep running."""

import os

c = get_config()  # noqa: F821
load_subconfig("config_standin.py")  # noqa: F821
c.JupyterHub.bind_url = os.environ["TEST_PUBLIC_URL"]
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = os.environ["TEST_PROXY_API_URL"]
c.ConfigurableHTTPProxy.auth_token = os.environ["TEST_PROXY_TOKEN"]
c.JupyterHub.cleanup_servers = False
