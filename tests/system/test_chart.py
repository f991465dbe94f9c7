"""The Helm chart, rendered by helm and held against the schemas of Kubernetes. No cluster has ever seen it."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from rigs.chart import CHART, RELEASE, Refused, Rendered, helm, render

from hubbub.settings import Settings

pytestmark = pytest.mark.system

EVERYTHING: dict[str, Any] = {
    "images": {"registry": "registry.example.org/hub", "tag": "1.2", "pullSecrets": ["pull"]},
    "hub": {"baseUrl": "/jupyter", "publicUrl": "https://hub.example.org", "admins": ["ada", "bob"]},
    "env": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
    "api": {"autoscaling": {"enabled": True, "min": 3, "max": 9, "cpu": 60}},
    "pools": {"gpu": {"autoscaling": {"enabled": True, "min": 1, "max": 3, "cpu": 80}}},
    "nats": {"replicas": 3, "storage": {"className": "fast"}},
    "ingress": {"enabled": True, "className": "nginx", "host": "hub.example.org", "tlsSecret": "tls"},
    "networkPolicies": {
        "visitors": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
        "metrics": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
    },
    "tools": {"enabled": True},
}
ELSEWHERE: dict[str, Any] = {
    "nats": {"enabled": False, "at": ["n1.example.org:4222", "n2.example.org:4222"]},
    "postgres": {"enabled": False, "at": "db.example.org:5432/hub?sslmode=require", "owner": "owner"},
    "secrets": {"existing": "mine"},
    "networkPolicies": {"enabled": False},
    "users": {"storage": {"size": ""}},
}
KINDS: list[dict[str, Any]] = [{}, EVERYTHING, ELSEWHERE]


@pytest.fixture(scope="module", params=KINDS, ids=["as it is", "everything", "elsewhere"])
def chart(request: pytest.FixtureRequest) -> Rendered:
    return render(request.param)


@pytest.fixture(scope="module")
def usual() -> Rendered:
    return render()


def test_helm_has_nothing_to_say_against_it() -> None:
    helm("lint", "--strict", str(CHART))


@pytest.mark.parametrize("version", ["1.28", "1.37"])
def test_kubernetes_would_take_it(chart: Rendered, version: str) -> None:
    for resource in chart.resources:
        kubernetes_validate.validate(resource, version, strict=True)


def test_a_schema_that_takes_anything_would_be_noticed(usual: Rendered) -> None:
    wrong = {**usual.of("Deployment")[f"{RELEASE}-api"], "spec": {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"apis": {}}, "Additional property apis is not allowed"),
        ({"api": {"replicas": 0}}, "api.replicas"),
        ({"nats": {"replicas": 2}}, "nats.replicas"),
        ({"nats": {"enabled": False}}, "nats.at: say where your NATS is"),
        ({"postgres": {"enabled": False}}, "postgres.at: say where your Postgres is"),
        ({"postgres": {"at": "postgresql://hub:secret@db/hub"}}, "postgres.at"),
        ({"pools": {"No_Pool": {}}}, "No_Pool"),
        ({"ingress": {"enabled": True}}, "ingress.host"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as refused:
        render(values)
    assert words in str(refused.value)


def test_every_container_may_do_as_little_as_can_be(chart: Rendered) -> None:
    for name, pod in chart.pods().items():
        secured = pod["spec"]["securityContext"]
        assert (secured["runAsNonRoot"], secured["runAsUser"] > 0) == (True, True), name
        assert secured["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_what_lasts_is_watched_and_has_its_share(chart: Rendered) -> None:
    for kind in ("Deployment", "StatefulSet"):
        for name, made in chart.of(kind).items():
            if name.endswith(("-tools", "-worker-gpu")):
                continue
            [container] = made["spec"]["template"]["spec"]["containers"]
            assert "readinessProbe" in container or "startupProbe" in container, name
            assert "memory" in container["resources"]["limits"], name


def test_only_those_may_ask_the_api_of_kubernetes_who_have_to(chart: Rendered) -> None:
    may = {name for name, pod in chart.pods().items() if pod["spec"]["automountServiceAccountToken"]}
    assert {name.removeprefix(f"{RELEASE}-") for name in may} <= {"worker-default", "worker-gpu", "kit"}
    rules = chart.of("Role")[f"{RELEASE}-worker"]["rules"]
    assert "secrets" not in {resource for rule in rules for resource in rule["resources"]}
    assert not any("*" in {*rule["verbs"], *rule["resources"]} for rule in rules)


SEES = {
    "api": {"postgres-url-api", "nats-url-api", "cookie-secret", "vault-key", "bus-key", "forward-key"},
    "auth": {"postgres-url-auth", "cookie-secret", "vault-key", "forward-key"},
    "worker-default": {"nats-url-pool-default", "bus-key"},
    "worker-gpu": {"nats-url-pool-gpu", "bus-key"},
    "proxy-sync": {"nats-url-proxy-sync", "proxy-token"},
    "poller": {"nats-url-poller"},
    "proxy": {"proxy-token"},
    "nats": {"nats.conf", "nats-users.conf", "nats.crt", "nats.key"},
    "postgres": {"postgres-password"},
    "kit": set(),
}
RUN_THE_FILE = {"api", "auth", "worker-default", "worker-gpu", "proxy-sync"}
SEE_ALL = {"migrate-1", "tools"}


def test_each_sees_the_secrets_that_it_needs_and_no_others(chart: Rendered) -> None:
    for name in chart.pods():
        part = name.removeprefix(f"{RELEASE}-")
        if part in SEE_ALL:
            assert chart.secrets_of(name) is None
        else:
            assert chart.secrets_of(name) == SEES[part] | ({"login-password"} if part in RUN_THE_FILE else set())


def test_no_secret_is_in_what_is_rendered(chart: Rendered) -> None:
    assert chart.of("Secret") == {}
    values = [value for name in chart.pods() for value in chart.environment(name).values()]
    assert not [value for value in values if "://" in value and "@" in value]


def test_services_are_told_what_they_know(chart: Rendered) -> None:
    """And by files that are there."""
    known = {f"HUBBUB_{field.upper()}" for field in Settings.__struct_fields__} | {
        "CONFIGPROXY_AUTH_TOKEN",
        "HUBBUB_AUTH_BIND",
        "HUBBUB_KIT",
    }
    for name in chart.pods():
        for variable, value in chart.environment(name).items():
            if variable.startswith(("HUBBUB_", "CONFIGPROXY_")):
                assert variable.removesuffix("_FILE") in known, (name, variable)
            if variable.endswith("_FILE"):
                seen = chart.secrets_of(name)
                assert seen is None or Path(value).name in seen, (name, variable)


def test_whoever_is_spoken_of_is_there(chart: Rendered) -> None:
    """Services and pods, by their names; config maps and accounts, too."""
    services = chart.of("Service")
    nodes = {
        f"{name}-{number}.{made['spec']['serviceName']}"
        for name, made in chart.of("StatefulSet").items()
        for number in range(made["spec"].get("replicas", 1))
    }
    spoken = set()
    for name, pod in chart.pods().items():
        container = pod["spec"]["containers"][0]
        words = [*chart.environment(name).values(), *container.get("args", [])]
        spoken |= {found for text in words for found in re.findall(rf"(?:[/=,@]|^)({RELEASE}-[a-z0-9.-]+)", text)}
        for volume in pod["spec"].get("volumes", []):
            if "configMap" in volume:
                assert volume["configMap"]["name"] in chart.of("ConfigMap"), name
        if account := pod["spec"].get("serviceAccountName"):
            assert account in chart.of("ServiceAccount"), name
    assert f"{RELEASE}-api" in spoken
    missing = {host for host in spoken if host not in services and host not in nodes}
    assert {host for host in missing if not host.endswith(("-secrets", "-proxy-"))} == set()


def test_each_proxy_has_a_proxy_sync_of_its_number(usual: Rendered) -> None:
    sets = usual.of("StatefulSet")
    proxy, sync = sets[f"{RELEASE}-proxy"]["spec"], sets[f"{RELEASE}-proxy-sync"]["spec"]
    assert proxy["replicas"] == sync["replicas"] == 2
    url = usual.environment(f"{RELEASE}-proxy-sync")["HUBBUB_PROXY_API_URL"]
    assert url == f"http://{RELEASE}-proxy-$(NUMBER).{proxy['serviceName']}:8001"


def test_selectors_mean_the_pods_that_they_should(chart: Rendered) -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in chart.pods().items()}

    def meant(selector: dict[str, str]) -> set[str]:
        return {name for name, have in labels.items() if selector.items() <= have.items()}

    for kind in ("Deployment", "StatefulSet"):
        for name, made in chart.of(kind).items():
            assert meant(made["spec"]["selector"]["matchLabels"]) == {name}
    for name, service in chart.of("Service").items():
        [target] = meant(service["spec"]["selector"])
        ports = {port["name"] for port in chart.pods()[target]["spec"]["containers"][0].get("ports", [])}
        assert {port["targetPort"] for port in service["spec"].get("ports", [])} <= ports, name
    for budget in chart.of("PodDisruptionBudget").values():
        assert meant(budget["spec"]["selector"]["matchLabels"])


DOORS = {
    "api": {8081: {"proxy", "user", "spawner-worker", "tools"}},
    "auth": {8082: {"api"}},
    "nats": {4222: {"api", "spawner-worker", "proxy-sync", "poller", "tools"}, 6222: {"nats"}},
    "postgres": {5432: {"api", "auth", "setup", "tools"}},
    "proxy": {8000: None, 8001: {"proxy-sync"}},
    "user": {0: {"proxy", "spawner-worker"}},
    "spawner-worker": {},
    "proxy-sync": {},
    "poller": {},
    "setup": {},
    "tools": {},
}


def test_nobody_comes_to_anybody_without_need(usual: Rendered) -> None:
    assert usual.doors() == DOORS
    parts = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in usual.pods().values()}
    assert parts <= DOORS.keys(), "a part without a policy"
    out = usual.of("NetworkPolicy")[f"{RELEASE}-user"]["spec"]["egress"]
    [block] = [peer["ipBlock"] for rule in out for peer in rule.get("to", []) if "ipBlock" in peer]
    assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(block["except"])


def test_who_is_scaled_by_load_has_no_number_of_its_own() -> None:
    chart = render(EVERYTHING)
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in chart.of("HorizontalPodAutoscaler").values()}
    assert scaled == {f"{RELEASE}-api", f"{RELEASE}-worker-gpu"}
    made = {**chart.of("Deployment"), **chart.of("StatefulSet")}
    assert not [name for name in scaled if "replicas" in made[name]["spec"]]


def test_a_new_configuration_is_a_new_pod() -> None:
    def sum_of(**values: Any) -> str:
        return str(render(values).pods()[f"{RELEASE}-api"]["metadata"]["annotations"]["checksum/config"])

    assert sum_of() == sum_of()
    assert len({sum_of(), sum_of(extraConfig="c.X.y = 1"), sum_of(config="c.X.y = 1")}) == 3


def test_a_new_release_leaves_alone_what_peoples_connections_go_through(usual: Rendered) -> None:
    newer = render({"images": {"tag": "99"}, "extraConfig": "c.X.y = 1"})
    for name, before in usual.pods().items():
        labels = before["metadata"]["labels"]
        assert not {"app.kubernetes.io/version", "helm.sh/chart"} & labels.keys(), name
        lasts = name.removeprefix(f"{RELEASE}-") in ("proxy", "nats", "postgres")
        assert lasts == (newer.pods()[name] == before), name
