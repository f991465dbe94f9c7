"""The few paths of the Kubernetes API that kubespawner asks for; a pod is a process with an address of its own.

Objects of any kind can be made, read, listed, watched and deleted, in any namespace. Pods are run: their
first container's arguments are the command, all of 127.0.0.0/8 are their addresses, and a container that
fails is started again if the pod's restartPolicy says so.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime
from itertools import count
from typing import Any, ClassVar
from uuid import uuid4

from aiohttp import web

Thing = dict[str, Any]
BACKOFF = 1.0


class Store:
    """What there is, and every change of it, in order."""

    def __init__(self) -> None:
        self.things: dict[tuple[str, str, str], Thing] = {}
        self.history: list[tuple[int, str, str, Thing]] = []
        self.version = 0
        self.changed = asyncio.Condition()

    async def put(self, kind: str, thing: Thing, how: str = "MODIFIED") -> None:
        self.version += 1
        about = thing["metadata"]
        about["resourceVersion"] = str(self.version)
        key = (kind, about["namespace"], about["name"])
        if how == "DELETED":
            self.things.pop(key, None)
        else:
            self.things[key] = thing
        self.history.append((self.version, how, kind, deepcopy(thing)))
        async with self.changed:
            self.changed.notify_all()

    async def make(self, kind: str, namespace: str, thing: Thing) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        thing.setdefault("metadata", {}).update(namespace=namespace, uid=uuid4().hex, creationTimestamp=now)
        await self.put(kind, thing, "ADDED")

    async def follow(self, kind: str, version: int) -> AsyncIterator[tuple[str, Thing]]:
        seen = next((at for at, change in enumerate(self.history) if change[0] > version), len(self.history))
        while True:
            while seen < len(self.history):
                _, how, what, thing = self.history[seen]
                seen += 1
                if what == kind:
                    yield how, thing
            async with self.changed:
                await self.changed.wait()


STORE = web.AppKey("STORE", Store)
ADDRESSES = (f"127.{os.getpid() % 200 + 10}.{number // 250}.{number % 250 + 1}" for number in count())


class Pod:
    """Runs one, from its making to its removal."""

    running: ClassVar[dict[str, "Pod"]] = {}

    def __init__(self, store: Store, thing: Thing) -> None:
        self.store = store
        self.thing = thing
        self.process: asyncio.subprocess.Process | None = None
        self.ip = next(ADDRESSES)
        self.output = b""
        Pod.running[thing["metadata"]["uid"]] = self
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        restarts = 0
        await self._tell("Scheduled", f"Successfully assigned {self.thing['metadata']['name']} to rig")
        while True:
            status = await self._run_container(restarts)
            again = self.thing["spec"].get("restartPolicy", "Always")
            if again == "Never" or (again == "OnFailure" and status == 0):
                await self._show(
                    "Succeeded" if status == 0 else "Failed", {"terminated": {"exitCode": status}}, restarts
                )
                return
            restarts += 1
            await self._tell("BackOff", "Back-off restarting failed container", "Warning")
            await self._show("Running", {"waiting": {"reason": "CrashLoopBackOff"}}, restarts)
            await asyncio.sleep(BACKOFF)  # as the kubelet does, if not as long

    async def _run_container(self, restarts: int) -> int:
        container = self.thing["spec"]["containers"][0]
        environ = {one["name"]: one.get("value") or "" for one in container.get("env") or []}
        if url := environ.get("JUPYTERHUB_SERVICE_URL"):
            environ["JUPYTERHUB_SERVICE_URL"] = url.replace("0.0.0.0", self.ip)
        self.process = await asyncio.create_subprocess_exec(
            *(container.get("command") or []),
            *(container.get("args") or []),
            env={"PATH": os.environ["PATH"], **environ},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        await self._tell("Started", f"Started container {container['name']}")
        await self._show("Running", {"running": {}}, restarts)
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.output += line
        return await self.process.wait()

    async def _show(self, phase: str, state: Thing, restarts: int) -> None:
        ready = "running" in state
        container = {"name": self.thing["spec"]["containers"][0]["name"], "ready": ready, "restartCount": restarts}
        self.thing["status"] = {
            "phase": phase,
            "podIP": self.ip,
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{**container, "state": state}],
        }
        await self.store.put("pods", self.thing)

    async def _tell(self, reason: str, message: str, type: str = "Normal") -> None:
        about = self.thing["metadata"]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        subject = {"kind": "Pod", "name": about["name"], "namespace": about["namespace"], "uid": about["uid"]}
        event = {
            "metadata": {"name": f"{about['name']}.{uuid4().hex[:12]}"},
            "involvedObject": subject,
            "reason": reason,
            "message": message,
            "type": type,
            "lastTimestamp": now,
        }
        await self.store.make("events", about["namespace"], event)

    async def end(self, grace: float) -> None:
        self.task.cancel()
        if self.process is not None and self.process.returncode is None:
            await self._kill(self.process, grace)
        Pod.running.pop(self.thing["metadata"]["uid"], None)
        await self.store.put("pods", self.thing, "DELETED")

    async def _kill(self, process: asyncio.subprocess.Process, grace: float) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM if grace else signal.SIGKILL)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), grace or 10)
            os.killpg(process.pid, signal.SIGKILL)


def refuse(status: int, reason: str) -> web.Response:
    said = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": reason}
    return web.json_response(said, status=status)


def is_meant(thing: Thing, query: Any) -> bool:
    """Whether the selectors of *query* cover *thing*."""
    labels = thing["metadata"].get("labels") or {}
    for one in filter(None, query.get("labelSelector", "").split(",")):
        key, _, value = one.partition("=")
        if labels.get(key) != value:
            return False
    for one in filter(None, query.get("fieldSelector", "").split(",")):
        path, _, value = one.partition("=")
        found: Any = thing
        for word in path.split("."):
            found = (found or {}).get(word)
        if found != value:
            return False
    return True


async def create(request: web.Request) -> web.Response:
    store, kind, namespace = request.app[STORE], request.match_info["kind"], request.match_info["namespace"]
    thing = await request.json()
    if (kind, namespace, thing["metadata"]["name"]) in store.things:
        return refuse(409, "AlreadyExists")
    if kind == "pods":
        thing["status"] = {"phase": "Pending"}
    await store.make(kind, namespace, thing)
    if kind == "pods":
        Pod(store, thing)
    return web.json_response(thing, status=201)


async def listed(request: web.Request) -> web.StreamResponse:
    store, kind = request.app[STORE], request.match_info["kind"]
    if request.query.get("watch") in ("true", "True", "1"):
        return await watched(request)
    namespace = request.match_info.get("namespace")
    items = [
        thing
        for (what, where, _), thing in store.things.items()
        if what == kind and namespace in (None, where) and is_meant(thing, request.query)
    ]
    return web.json_response(
        {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": str(store.version)}, "items": items}
    )


async def watched(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    version = int(request.query.get("resourceVersion") or 0)
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(float(request.query.get("timeoutSeconds") or 60)):
            async for how, thing in request.app[STORE].follow(request.match_info["kind"], version):
                if is_meant(thing, request.query):
                    line = web.json_response({"type": how, "object": thing}).text
                    await response.write(f"{line}\n".encode())
    with suppress(ConnectionError):
        await response.write_eof()
    return response


def key_of(request: web.Request) -> tuple[str, str, str]:
    about = request.match_info
    return about["kind"], about["namespace"], about["name"]


async def read(request: web.Request) -> web.Response:
    thing = request.app[STORE].things.get(key_of(request))
    return refuse(404, "NotFound") if thing is None else web.json_response(thing)


async def change(request: web.Request) -> web.Response:
    """What a patch says is so now, and all else as it was."""
    store, key = request.app[STORE], key_of(request)
    thing = store.things.get(key)
    if thing is None:
        return refuse(404, "NotFound")
    changed = merged(thing, await request.json())
    await store.put(key[0], changed)
    return web.json_response(changed)


def merged(thing: Any, patch: Any) -> Any:
    if not isinstance(thing, dict) or not isinstance(patch, dict):
        return deepcopy(patch)
    kept = {name: value for name, value in thing.items() if name not in patch}
    return kept | {name: merged(thing.get(name), value) for name, value in patch.items() if value is not None}


async def log_of(request: web.Request) -> web.Response:
    thing = request.app[STORE].things.get(key_of(request))
    pod = Pod.running.get(thing["metadata"]["uid"]) if thing else None
    if pod is None:
        return refuse(404, "NotFound")
    lines = pod.output.splitlines(keepends=True)[-int(request.query.get("tailLines") or 1000) :]
    return web.Response(body=b"".join(lines), content_type="text/plain")


async def delete(request: web.Request) -> web.Response:
    store, key = request.app[STORE], key_of(request)
    thing = store.things.get(key)
    if thing is None:
        return refuse(404, "NotFound")
    pod = Pod.running.get(thing["metadata"]["uid"])
    if pod is None:
        await store.put(key[0], thing, "DELETED")
    elif "deletionTimestamp" not in thing["metadata"]:
        thing["metadata"]["deletionTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        await store.put(key[0], thing)
        request.app[ENDING].add(asyncio.create_task(pod.end(float(request.query.get("gracePeriodSeconds", 30)))))
    return web.json_response(thing)


ENDING = web.AppKey("ENDING", set)


async def _end_all(app: web.Application) -> None:
    for pod in list(Pod.running.values()):
        await pod.end(0)


def main() -> None:
    app = web.Application()
    app[ENDING] = set()
    place = "/api/v1/namespaces/{namespace}/{kind}"

    async def prepare(app: web.Application) -> None:
        app[STORE] = Store()

    app.on_startup.append(prepare)
    app.on_shutdown.append(_end_all)
    app.router.add_get("/api/v1/{kind}", listed)
    for each in (place, "/apis/networking.k8s.io/v1/namespaces/{namespace}/{kind}"):
        app.router.add_get(each, listed)
        app.router.add_post(each, create)
        app.router.add_get(each + "/{name}", read)
        app.router.add_patch(each + "/{name}", change)
        app.router.add_delete(each + "/{name}", delete)
    app.router.add_get(place + "/{name}/log", log_of)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


if __name__ == "__main__":
    main()
