"""Secrets are made once and kept."""

import base64

import pytest

from hubbub_local import keys
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder


def test_secrets_are_the_same_at_every_start(data: Folder) -> None:
    first, first_passwords = keys.load(data), keys.passwords(data, "nats", ["api"])
    assert keys.load(data) == first
    assert keys.passwords(data, "nats", ["api", "poller"])["api"] == first_passwords["api"]


def test_secrets_differ_from_each_other_and_from_another_hubs(data: Folder) -> None:
    first = keys.load(data)
    data.secrets.unlink()
    second = keys.load(data)
    every = [*vars(first).values(), *vars(second).values()]
    assert len(set(every)) == len(every)


def test_secrets_have_the_form_the_services_expect(data: Folder) -> None:
    made = keys.load(data)
    assert len(bytes.fromhex(made.cookie_secret)) == 32
    assert len(base64.urlsafe_b64decode(made.vault_key)) == 32


def test_only_the_owner_can_read_them(data: Folder) -> None:
    keys.load(data)
    modes = {path.stat().st_mode & 0o777 for path in (data.secrets, data.login_password)}
    assert modes == {0o600}


def test_the_login_password_is_where_the_packaged_configuration_looks(data: Folder) -> None:
    assert data.login_password.exists() is False
    assert keys.load(data).login_password == data.login_password.read_text().strip()


@pytest.mark.parametrize("text", ["{", "[]", '{"cookie_secret": 3}', '{"cookie_secret": ""}'])
def test_a_damaged_file_is_named_and_left_alone(data: Folder, text: str) -> None:
    data.secrets.write_text(text)
    with pytest.raises(StackError, match=r"secrets\.json is damaged"):
        keys.load(data)
    assert data.secrets.read_text() == text
