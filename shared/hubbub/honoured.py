"""Which options of the operator's configuration have an effect in this release."""

SECRET = frozenset({"api_token", "auth_token", "user_password", "admin_password", "password"})

_SPAWNER = frozenset(
    [
        "apply_user_options",
        "args",
        "auth_state_hook",
        "cmd",
        "consecutive_failure_limit",
        "cpu_guarantee",
        "cpu_limit",
        "debug",
        "default_url",
        "disable_user_config",
        "env_keep",
        "environment",
        "group_overrides",
        "http_timeout",
        "hub_connect_url",
        "ip",
        "mem_guarantee",
        "mem_limit",
        "notebook_dir",
        "oauth_client_allowed_scopes",
        "options_form",
        "options_from_form",
        "poll_interval",
        "poll_jitter",
        "port",
        "post_stop_hook",
        "pre_spawn_hook",
        "progress_ready_hook",
        "server_token_scopes",
        "ssl_alt_names",
        "ssl_alt_names_include_local",
        "start_timeout",
    ]
)
_LOCAL = _SPAWNER | {"interrupt_timeout", "term_timeout", "kill_timeout", "popen_kwargs", "shell_cmd"}
_AUTHENTICATOR = frozenset(
    [
        "admin_users",
        "allowed_users",
        "allow_all",
        "allow_existing_users",
        "any_allow_config",
        "blocked_users",
        "username_map",
        "username_pattern",
    ]
)
_PROXY = frozenset({"should_start", "extra_routes"})

HONOURED: dict[str, frozenset[str]] = {
    "JupyterHub": frozenset(
        [
            "bind_url",
            "ip",
            "port",
            "base_url",
            "public_url",
            "hub_ip",
            "hub_port",
            "hub_bind_url",
            "hub_connect_ip",
            "hub_connect_url",
            "internal_ssl",
            "internal_certs_location",
            "recreate_internal_certs",
            "external_ssl_authorities",
            "trusted_alt_names",
            "authenticator_class",
            "spawner_class",
            "services",
            "load_roles",
            "load_groups",
            "custom_scopes",
            "extra_user_scopes",
            "service_tokens",
            "api_tokens",
            "service_check_interval",
            "admin_users",
            "admin_access",
            "allow_named_servers",
            "named_server_limit_per_user",
            "concurrent_spawn_limit",
            "active_server_limit",
            "cookie_max_age_days",
            "oauth_token_expires_in",
            "oauth_require_pkce",
            "token_expires_in_max_seconds",
            "api_page_default_limit",
            "api_page_max_limit",
            "redirect_to_server",
            "cleanup_servers",
            "cleanup_proxy",
            "authenticate_prometheus",
            "tornado_settings",
            "log_level",
        ]
    ),
    "Hubbub": frozenset(
        [
            "slow_spawn_timeout",
            "slow_stop_timeout",
            "queue_timeout",
            "route_timeout",
            "adoption_timeout",
            "spawn_retries",
            "pool",
            "pools",
            "worker_starts",
            "worker_capacity",
            "queue_spawns",
            "token_limit_per_user",
            "spawner_reach",
        ]
    ),
    "PeriodicMetricsCollector": frozenset(
        [
            "active_users_enabled",
            "event_loop_interval_enabled",
            "event_loop_interval_resolution",
            "event_loop_interval_log_threshold",
        ]
    ),
    "Spawner": _SPAWNER,
    "LocalProcessSpawner": _LOCAL,
    "SimpleLocalProcessSpawner": _LOCAL | {"home_dir_template"},
    "Authenticator": _AUTHENTICATOR,
    "DummyAuthenticator": _AUTHENTICATOR | {"password"},
    "SharedPasswordAuthenticator": _AUTHENTICATOR | {"user_password", "admin_password", "admins_share_password"},
    "Proxy": _PROXY,
    "ConfigurableHTTPProxy": _PROXY
    | {"api_url", "auth_token", "command", "check_running_interval", "concurrency", "debug", "log_level"},
}
