"""Which of the integration tests run on a hub in containers, too (`make test-compose`), and why the others do not."""

from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent

#: On the same hub, with users' servers that are containers. The rest of them takes longer than a change may wait for.
ALWAYS = ("contract",)
AT_LEISURE = (
    "test_advisories.py",
    "test_browsers_made_use_of.py",
    "test_client.py",
    "test_credentials.py",
    "test_culling.py",
    "test_forgetting.py",
    "test_forms.py",
    "test_hooks.py",
    "test_idle_culler.py",
    "test_leaving.py",
    "test_login_attacks.py",
    "test_odd_base_url.py",
    "test_pools_and_queue.py",
    "test_quotas.py",
    "test_renewal.py",
    "test_services.py",
    "test_shares.py",
    "test_trace.py",
    "test_where_logged_in.py",
    "faults/test_account_cuts.py",
    "faults/test_secrets.py",
)

#: Single tests of these that have no meaning there, and why.
BUT = {
    "test_client.py::test_a_failed_start_says_why": (
        "Docker removes a container that ends at once, with its exit status and what it has printed"
    ),
    "test_forms.py::test_a_link_may_bring_the_options": (
        "JupyterHub's Spawner, which DockerSpawner is one of, gives a hook for a form and a spawner the form alone"
    ),
}

#: What whole modules are about, or need, that containers do not have.
NOT = {
    "nothing, but nobody has seen them pass there from beginning to end": (
        "faults/test_idempotency.py test_person.py test_terminal.py test_logins.py faults/test_crash.py"
    ),
    "twenty and more servers at once, again and again: tests/compose kills and cuts off the same parts below fewer": (
        "faults/test_cuts.py faults/test_infrastructure.py faults/test_kill_a_service.py faults/test_whole_stack.py"
        " faults/test_scaled.py faults/test_limits.py faults/test_thousand.py"
    ),
    "a part that `hubbub up` starts again or rotates, its data folder, or processes of this machine": (
        "faults/test_rolling_restart.py faults/test_kept.py test_rotation.py test_moving_in.py test_old_and_new.py"
        " test_outside.py test_remote_worker.py test_managed.py"
    ),
    "another proxy, or several, or its certificates: here there is one that others keep": (
        "faults/test_route_faults.py faults/test_routes_of_a_hub.py test_moved_proxy.py test_proxy_suite.py"
        " test_public_tls.py test_several_proxies.py test_internal_tls.py test_subdomains.py test_forwarded.py"
    ),
    "our Spawner for local processes and what it alone can do": (
        "test_limits_and_logs.py test_spawner_suite.py test_tutorial_spawners.py test_howto.py"
    ),
    "the bus by an address of this machine": "faults/test_bad_messages.py",
    "many requests, each of which waits for a container: the contract asks the same ones": "test_schema.py",
    "no hub at all, but a service in the test's own process": (
        "test_hubauth.py test_oauth_described.py test_every_module_is_listed.py"
    ),
}


def _modules() -> set[str]:
    return {str(path.relative_to(HERE)) for path in (*HERE.glob("test_*.py"), *HERE.glob("faults/test_*.py"))}


def _listed() -> list[str]:
    return [*AT_LEISURE, *(name for names in NOT.values() for name in names.split())]


def unlisted() -> set[str]:
    """Modules that nobody has thought about, and names of such as there are not."""
    return set(_listed()) ^ _modules()


def doubled() -> list[str]:
    """What is said both to run there and not to."""
    return [name for name, times in Counter(_listed()).items() if times > 1]


def words() -> list[str]:
    """For pytest."""
    root = HERE.parents[1]
    left_out = [f"--deselect={(HERE / name).relative_to(root)}" for name in BUT]
    return [*(str(HERE / name) for name in AT_LEISURE), *left_out]


if __name__ == "__main__":
    print(*words())
