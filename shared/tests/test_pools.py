"""`c.Hubbub.pools`: which start goes where, and what a worker of each takes."""

from typing import Any

import pytest
from traitlets.config import Config

from hubbub.config import ConfigError, Options
from hubbub.pools import Size
from hubbub.settings import Settings


class DockerSpawner:
    pass


class OurSpawner(DockerSpawner):
    pass


def said(*, hub: dict[str, Any] | None = None, capacity: int | None = None, **ours: Any) -> Options:
    traits = Config({"Hubbub": ours, "JupyterHub": hub or {}})
    return Options(traits, Settings(instance="test", capacity=capacity))


def test_without_any_there_is_the_usual_one() -> None:
    assert list(said().pools) == ["default"]
    assert list(said(pool="lab").pools) == ["lab"]


def test_the_usual_one_may_be_among_them() -> None:
    options = said(pool="lab", pools={"lab": {"capacity": 3}, "gpu": {}})
    assert list(options.pools) == ["lab", "gpu"]
    assert options.pool_of("ada", [], {}) == "lab"


RULES = {
    "gpu": {"profiles": ["large", "huge"], "users": ["Ada"]},
    "lab": {"groups": ["physics", "chemistry"], "profiles": ["large"]},
}


@pytest.mark.parametrize(
    ("user", "groups", "options", "pool"),
    [
        ("ada", [], None, "gpu"),
        ("ada", ["physics"], {}, "gpu"),
        ("bob", ["music", "physics"], {}, "lab"),
        ("bob", ["physics"], {"profile": "large"}, "gpu"),
        ("bob", [], {"profile": "small"}, "default"),
        ("bob", [], {"profile": 1}, "default"),
        ("bob", [], {"profile": ""}, "default"),
        ("bob", [], {"other": "large"}, "default"),
    ],
)
def test_the_first_that_names_something_of_a_start_takes_it(
    user: str, groups: list[str], options: dict[str, Any] | None, pool: str
) -> None:
    assert said(pools=RULES).pool_of(user, groups, options) == pool


@pytest.mark.parametrize("name", ["DockerSpawner", "OurSpawner", f"{__name__}.OurSpawner"])
def test_a_spawner_class_is_known_by_its_names_and_its_parents(name: str) -> None:
    options = said(pools={"containers": {"spawners": [name]}}, hub={"spawner_class": OurSpawner})
    assert options.pool_of("ada", [], {}) == "containers"


@pytest.mark.parametrize("name", ["simple", "SimpleLocalProcessSpawner", "LocalProcessSpawner"])
def test_so_is_one_that_is_named(name: str) -> None:
    options = said(pools={"here": {"spawners": [name]}}, hub={"spawner_class": "simple"})
    assert options.pool_of("ada", [], {}) == "here"


def test_a_profile_of_wrapspawner_says_which_class_it_is() -> None:
    traits = Config({"Hubbub": {"pools": {"slurm": {"spawners": ["SlurmSpawner"]}}}})
    traits.JupyterHub.spawner_class = "wrapspawner.ProfilesSpawner"
    traits.ProfilesSpawner.profiles = [("Queue", "q", "batchspawner.SlurmSpawner", {}), ("Here", "h", "simple", {})]
    options = Options(traits)
    assert [options.pool_of("ada", [], {"profile": profile}) for profile in "qh"] == ["slurm", "default"]


def test_the_workers_of_a_pool_may_have_a_class_of_their_own() -> None:
    pools = {"containers": {"spawner_class": OurSpawner}, "here": {}}
    options = said(pools=pools, hub={"spawner_class": "simple"})
    assert options.spawner_class_of("containers") is OurSpawner
    assert [options.spawner_class_of(pool) for pool in ("here", "default", "unheard-of")] == ["simple"] * 3


def test_its_options_are_those_of_that_class() -> None:
    traits = Config({"Hubbub": {"pools": {"containers": {"spawner_class": OurSpawner}}}})
    traits.Spawner.start_timeout = 20
    traits.DockerSpawner.start_timeout = 300
    traits.OurSpawner.volumes = {}
    options = Options(traits)
    assert [options.spawner_of(pool).start_timeout for pool in ("default", "containers")] == [20, 300]
    assert options.warnings == []


@pytest.mark.parametrize(
    ("ours", "capacity", "size"),
    [
        ({}, None, Size(starts=64, capacity=0)),
        ({"worker_starts": 8, "worker_capacity": 100}, None, Size(starts=8, capacity=100)),
        ({"worker_capacity": 100, "pools": {"gpu": {"capacity": 4, "starts": 1}}}, None, Size(starts=1, capacity=4)),
        ({"worker_capacity": 100, "pools": {"gpu": {"capacity": 0}}}, None, Size(starts=64, capacity=0)),
        ({"worker_capacity": 100, "pools": {"gpu": {"capacity": 4}}}, 2, Size(starts=64, capacity=2)),
        ({"worker_capacity": 100}, 0, Size(starts=64, capacity=0)),
    ],
)
def test_what_a_worker_takes(ours: dict[str, Any], capacity: int | None, size: Size) -> None:
    assert said(capacity=capacity, **ours).size_of("gpu") == size


@pytest.mark.parametrize(
    ("ours", "why"),
    [
        ({"pool": "Lab"}, r"c\.Hubbub\.pool cannot be 'Lab': a pool's name has lower case letters"),
        ({"pools": {"api": {}}}, r"c\.Hubbub\.pools: 'api': a pool's name .* is no service's"),
        ({"pools": {"a.b": {}}}, r"c\.Hubbub\.pools: 'a\.b'"),
        ({"pools": ["gpu"]}, r"c\.Hubbub\.pools: Expected `object`"),
        ({"pools": {"gpu": []}}, r"c\.Hubbub\.pools: Expected `object`"),
        ({"pools": {"gpu": {"profile": ["x"]}}}, r"c\.Hubbub\.pools\['gpu'\]: .*unknown field `profile`"),
        ({"pools": {"gpu": {"groups": "physics"}}}, r"c\.Hubbub\.pools\['gpu'\]: Expected `array`.*groups"),
        ({"pools": {"gpu": {"capacity": -1}}}, r"c\.Hubbub\.pools\['gpu'\]: .*>= 0.*capacity"),
        ({"pools": {"gpu": {"starts": 0}}}, r"c\.Hubbub\.pools\['gpu'\]: .*>= 1.*starts"),
        ({"worker_starts": 0}, r"c\.Hubbub\.worker_starts: "),
        ({"worker_capacity": -1}, r"c\.Hubbub\.worker_capacity: "),
    ],
)
def test_what_cannot_be_meant_is_named(ours: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        said(**ours)


@pytest.mark.parametrize("text", ["-1", "many"])
def test_an_environment_that_cannot_be_meant_ends_the_process(text: str) -> None:
    with pytest.raises(SystemExit) as ended:
        Settings.from_environ({"HUBBUB_CAPACITY": text})
    assert ended.value.code == 78


def test_the_environment_of_one_worker() -> None:
    assert Settings.from_environ({"HUBBUB_CAPACITY": "7"}).capacity == 7
    assert Settings.from_environ({}).capacity is None
