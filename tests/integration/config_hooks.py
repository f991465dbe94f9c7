"""The configuration of the other integration tests, with the operator's code before each start."""

from hubbub_spawner_worker.spawners import SpawnException

c = get_config()  # noqa: F821
load_subconfig("config_standin.py")  # noqa: F821


async def before(spawner):
    """Keeps what it was told of the person; with the user option `refused` there is no start."""
    if spawner.user_options.get("refused"):
        raise SpawnException(
            "No licence for R",
            reason="no-licence",
            message_html='No licence: <a href="/buy">buy one</a>',
            status_code=403,
        )
    given = await spawner.user.get_auth_state() or {}
    groups = {group.name: group.properties for group in spawner.user.groups}
    await spawner.user.save_auth_state({**given, "groups": groups, "starts": given.get("starts", 0) + 1})


async def ready(spawner, event):
    """Leads to somewhere inside of the server."""
    return {**event, "message": f"Come in, {spawner.user.name}", "url": f"{event['url']}lab"}


c.Spawner.pre_spawn_hook = before
c.Spawner.progress_ready_hook = ready
c.Spawner.server_token_scopes = lambda spawner: [f"read:users:name!user={spawner.user.name}", "admin:users"]
c.JupyterHub.load_groups = {"gpu": {"users": ["ada"], "properties": {"quota": 3}}}
