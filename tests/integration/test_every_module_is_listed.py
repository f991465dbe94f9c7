"""Of every module it has been thought about whether it runs on a hub in containers, too, and what of it does not."""

import in_containers


def test_every_module_is_listed_once():
    assert in_containers.unlisted() == set()
    assert in_containers.doubled() == []


def test_what_is_left_out_of_a_module_is_there():
    for name in in_containers.BUT:
        module, _, test = name.partition("::")
        assert module in in_containers.AT_LEISURE
        assert f"def {test}(" in (in_containers.HERE / module).read_text()
