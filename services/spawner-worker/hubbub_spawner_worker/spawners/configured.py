"""The options of `c.Spawner`, with JupyterHub's names and defaults."""

from typing import Any

import traitlets

from hubbub_spawner_worker.spawners.options import passthrough, simple
from hubbub_spawner_worker.spawners.traits import Bytes, Command

_FORMS = {"passthrough": passthrough, "simple": simple}


class Configured(traitlets.HasTraits):
    """What the operator may set, and a hook may change. Times are in seconds.

    No section of its own: `c.Spawner` sets all of this.
    """

    # What is run.
    cmd: Any = Command(
        ["jupyterhub-singleuser"], minlen=1, allow_none=True, help="None: whatever the spawner runs by itself."
    ).tag(config=True)
    args = Command(help="More words for `cmd`.").tag(config=True)
    environment = traitlets.Dict(help="Wins over all else. Values may be callables: they get the spawner.").tag(
        config=True
    )
    env_keep = traitlets.List(
        traitlets.Unicode(), ["JUPYTERHUB_SINGLEUSER_APP"], help="Variables of the worker's that are handed on."
    ).tag(config=True)
    notebook_dir = traitlets.Unicode(help="May hold {username} and begin with ~, the user's home.").tag(config=True)
    default_url = traitlets.Unicode(help="The page to begin with; may hold {username}.").tag(config=True)
    debug = traitlets.Bool(False).tag(config=True)
    disable_user_config = traitlets.Bool(False).tag(config=True)

    # Where.
    ip = traitlets.Unicode("127.0.0.1", help="What the server listens on; empty: everything.").tag(config=True)
    port = traitlets.Integer(0, help="0: any free one.").tag(config=True)
    hub_connect_url = traitlets.Unicode(None, allow_none=True).tag(config=True)
    ssl_alt_names: Any = traitlets.Union([traitlets.List(traitlets.Unicode()), traitlets.Callable()]).tag(config=True)
    ssl_alt_names_include_local = traitlets.Bool(True).tag(config=True)

    # How long, how often, how much.
    start_timeout = traitlets.Float(60).tag(config=True)
    http_timeout = traitlets.Float(30).tag(config=True)
    poll_interval = traitlets.Float(30, help="0: it is never asked whether the server still runs.").tag(config=True)
    poll_jitter = traitlets.Float(0.1, min=0, max=1).tag(config=True)
    consecutive_failure_limit = traitlets.Integer(0, help="0: none.").tag(config=True)
    mem_limit: Any = Bytes(help="Bytes.").tag(config=True)
    mem_guarantee: Any = Bytes(help="Bytes.").tag(config=True)
    cpu_limit: Any = traitlets.Float(None, allow_none=True, help="Cores.").tag(config=True)
    cpu_guarantee: Any = traitlets.Float(None, allow_none=True, help="Cores.").tag(config=True)

    # What people choose.
    options_form: Any = traitlets.Union(
        [traitlets.Unicode(), traitlets.Callable()], help="HTML, or a callable that gets the spawner; may be async."
    ).tag(config=True)
    options_from_form: Any = traitlets.Union(
        [traitlets.Callable(), traitlets.Unicode()],
        default_value=passthrough,
        help="'passthrough', 'simple', or a callable that gets {field: [texts]}, and `spawner` if it is named so.",
    ).tag(config=True)
    apply_user_options: Any = traitlets.Union(
        [traitlets.Callable(), traitlets.Dict()],
        default_value=None,
        allow_none=True,
        help="A callable that gets the spawner and the options, or {option: attribute}.",
    ).tag(config=True)
    group_overrides: Any = traitlets.Union(
        [traitlets.Dict(), traitlets.Callable()],
        help="{key: {'groups': [...], 'spawner_override': {attribute: value}}}, in the order of the keys.",
    ).tag(config=True)

    # What else happens. Each gets the spawner first; any may be async.
    auth_state_hook: Any = traitlets.Any(None, help="Before the start, with the auth state.").tag(config=True)
    pre_spawn_hook: Any = traitlets.Any(None).tag(config=True)
    post_stop_hook: Any = traitlets.Any(None).tag(config=True)
    progress_ready_hook: Any = traitlets.Any(None, help="With the last event of the progress; returns another.").tag(
        config=True
    )

    # What servers, and who uses them, may do on the hub. Callables get the spawner; they may be async.
    oauth_client_allowed_scopes: Any = traitlets.Union([traitlets.List(), traitlets.Callable()]).tag(config=True)
    server_token_scopes: Any = traitlets.Union([traitlets.List(), traitlets.Callable()]).tag(config=True)

    @traitlets.validate("options_from_form")
    def _a_form_by_name(self, proposal: Any) -> Any:
        value = proposal["value"]
        if isinstance(value, str) and value not in _FORMS:
            raise traitlets.TraitError(f"options_from_form is {value!r}: neither callable, nor one of {sorted(_FORMS)}")
        return _FORMS[value] if isinstance(value, str) else value

    @traitlets.validate("ip")
    def _without_brackets(self, proposal: Any) -> Any:
        """Configurations for JupyterHub before 5.3 had to put them around IPv6."""
        value = proposal["value"]
        return value[1:-1] if value.startswith("[") and value.endswith("]") else value

    @traitlets.validate("notebook_dir", "default_url")
    def _username_in_braces(self, proposal: Any) -> Any:
        """Very old configurations say %U."""
        return proposal["value"].replace("%U", "{username}")
