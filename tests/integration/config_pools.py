"""The configuration of the other integration tests, with a pool for profiles and a queue in place of refusals."""

c = get_config()  # noqa: F821
load_subconfig("config_standin.py")  # noqa: F821


class LargeSpawner(c.JupyterHub.spawner_class):
    """What the workers of the pool `large` start servers with."""

    def get_env(self):
        return {**super().get_env(), "STANDIN_SIZE": "large"}


c.Hubbub.pools = {"large": {"profiles": ["large"], "capacity": 1, "spawner_class": LargeSpawner}}
c.JupyterHub.concurrent_spawn_limit = 2
c.Hubbub.queue_spawns = True
