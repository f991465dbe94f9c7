"""JupyterHub's published description of its REST API, and where it is wrong about what JupyterHub does.

The document is in the source distribution of the release: it is fetched from there, by its hash, once.
"""

import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

RELEASE = "6.1.1"
SOURCE = f"""jupyterhub=={RELEASE} \
    --hash=sha256:1d7b6713b31ebd76d61a13c202f9323e66c4e8cf731adc5d3052bb6ee6178a95
"""
INSIDE = f"jupyterhub-{RELEASE}/docs/source/_static/rest-api.yml"

#: The body of every refusal (contract, 1.1).
ERROR = {
    "type": "object",
    "required": ["status", "message"],
    "properties": {"status": {"type": "integer"}, "message": {"type": ["string", "null"]}},
    "additionalProperties": False,
}
#: RFC 6749, 5.2.
OAUTH_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}

#: Fields of models that the document has a type for: they are null where there is nothing to say (contract, part 2).
NULLABLE = {
    "User": ("user_info", "server", "pending", "last_activity", "auth_state"),
    "Server": ("display_name", "pending", "started", "last_activity", "state", "user_options"),
    "Service": ("url", "info"),
    "Token": ("expires_at", "last_activity", "note"),
    "NewToken": ("expires_at", "last_activity", "note"),
}
#: More words than the document has for `pending` (contract, 2.1 and 2.2).
PENDING = ("check", "rename")

#: Request bodies that take no other keys than the document's (contract, 1.1), and the lists that may not be empty.
CLOSED: dict[tuple[str, str], tuple[str, ...]] = {
    ("/users", "post"): ("usernames",),
    ("/users/{name}", "patch"): (),
    ("/users/{name}/servers/{server_name}", "patch"): (),
    ("/groups/{name}/users", "post"): ("users",),
    ("/groups/{name}/users", "delete"): ("users",),
    ("/shares/{owner}/{server_name}", "post"): (),
    ("/shares/{owner}/{server_name}", "patch"): (),
    ("/share-codes/{owner}/{server_name}", "post"): (),
}

#: One that is refused if it is empty (contract, 1.4).
NOT_EMPTY = ("/users/{name}/activity", "post")

#: The orders of GET /users, which the document has in words alone (contract, 1.4).
SORTS = [f"{sign}{key}" for sign in ("", "-") for key in ("id", "name", "last_activity")]

#: Refusals of any operation, of which the document names next to none: 401 where it means 403 (contract, 1.4).
REFUSALS = ("400", "403", "404", "405", "409", "413", "429")

#: Paths that are not of the API, whatever the document says: browsers and OAuth clients ask them.
OAUTH_PAGE = "/oauth2/authorize"
OAUTH_TOKEN = "/oauth2/token"

#: Operations that the document has, and that no generated request can be right for.
NEVER_SUCCEED = {
    "POST /authorizations/token": "it is gone: 404, with a sentence (contract, 1.4)",
    "GET /authorizations/cookie/{cookie_name}/{cookie_value}": "takes a cookie that only a browser has",
    "GET /oauth2/authorize": "a page for browsers",
    "POST /oauth2/token": "takes a code that only a browser is given",
}


def document(cache: Path) -> dict[str, Any]:
    """The document as published; *cache* is a folder that is kept from run to run."""
    kept = cache / f"rest-api-{RELEASE}.json"
    if not kept.exists():
        half = kept.with_suffix(".half")
        half.write_text(json.dumps(yaml.safe_load(_fetched()), default=str))  # numbers as keys become text
        half.replace(kept)
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


def _fetched() -> bytes:
    """Raises AssertionError with pip's words if it cannot be had."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "wanted.txt")
        wanted.write_text(SOURCE)
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--no-deps"]
        command += ["--no-binary=jupyterhub", "--require-hashes", "--retries=10", "-d", folder, "-r", str(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, f"the sources of JupyterHub {RELEASE} cannot be had:\n{done.stdout}{done.stderr}"
        [archive] = Path(folder).glob("jupyterhub-*.tar.gz")
        with tarfile.open(archive) as source:
            member = source.extractfile(INSIDE)
            assert member is not None
            return member.read()


def corrected(found: dict[str, Any]) -> dict[str, Any]:
    """*found*, changed to what JupyterHub does. Each change is one that the contract gives the reason for."""
    schemas = found["components"]["schemas"]
    for model, fields in NULLABLE.items():
        for name in fields:
            _or_null(schemas[model]["properties"][name])
    for model in ("User", "Server"):
        schemas[model]["properties"]["pending"]["enum"] += PENDING
    for key, required in CLOSED.items():
        _body(found, *key).update(additionalProperties=False, required=list(required), minProperties=1)
        for name in required:
            _body(found, *key)["properties"][name]["minItems"] = 1
    _body(found, *NOT_EMPTY).update(minProperties=1)
    for name in ("paginationOffset", "paginationLimit"):  # whole numbers (contract, 1.3)
        found["components"]["parameters"][name]["schema"]["type"] = "integer"
    for parameter in found["paths"]["/users"]["get"]["parameters"]:
        if parameter.get("name") == "sort":
            parameter["schema"]["enum"] = SORTS
    _services_are_a_mapping(found)
    for path, operation in _operations(found):
        _may_refuse(path, operation["responses"])
    return found


def _operations(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in found["paths"].items():
        for operation in operations.values():
            yield path, operation


def _body(found: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    schema: dict[str, Any] = found["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
    return schema


def _or_null(field: dict[str, Any]) -> None:
    given = field["type"] if isinstance(field["type"], list) else [field["type"]]
    field["type"] = [*given, "null"]
    if "enum" in field:
        field["enum"] = [*field["enum"], None]


def _services_are_a_mapping(found: dict[str, Any]) -> None:
    """From their names; and in one piece, though the document lists the parameters of pages (contract, 1.4)."""
    answer = found["paths"]["/services"]["get"]["responses"]["200"]["content"]["application/json"]
    answer["schema"] = {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Service"}}


def _may_refuse(path: str, responses: dict[str, Any]) -> None:
    if path == OAUTH_PAGE:
        # Pages, and redirects to the login page or to the client.
        responses.update({status: {"description": "a page"} for status in ("302", "400", "403")})
        return
    schema = OAUTH_ERROR if path == OAUTH_TOKEN else ERROR
    refusal = {"description": "refused", "content": {"application/json": {"schema": schema}}}
    responses.update(dict.fromkeys((*REFUSALS, "401") if path == OAUTH_TOKEN else REFUSALS, refusal))
    if path != OAUTH_TOKEN:
        responses.pop("401", None)
