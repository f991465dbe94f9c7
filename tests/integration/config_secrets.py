"""On top of the usual one: a webhook whose receiver is not there, so that what is sent to it is tried and logged."""

c = get_config()  # noqa: F821
load_subconfig("config_standin.py")  # noqa: F821

c.Hubbub.webhooks = [{"name": "audit", "url": "http://127.0.0.1:9/", "secret": "secret-of-the-webhook-audit"}]
