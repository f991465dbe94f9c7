"""One attempt's place on this host: its port, its log, its process and the record of it."""

import os
from dataclasses import dataclass

from hubbub import faults
from hubbub.rpc import Spec
from hubbub_spawner_worker import gate, privileges, proc
from hubbub_spawner_worker.cgroups import Cgroup, NoCgroup
from hubbub_spawner_worker.process import Process
from hubbub_spawner_worker.spawners.surroundings import Program
from hubbub_spawner_worker.spool import Record
from hubbub_spawner_worker.workshop import Workshop


@dataclass(kw_only=True)
class LocalPlace:
    """`record` is what the spool says of it, once there is something to say."""

    workshop: Workshop
    spec: Spec
    record: Record | None = None
    port: int = 0

    def reserve_port(self, ip: str) -> int:
        self.port = self.workshop.ports.reserve(self.spec.server, ip)
        return self.port

    def launch(self, program: Program) -> Process:
        """Record it, then let it run, in a cgroup of its own from its first instruction on."""
        try:
            cgroup = self.workshop.cgroups.make(self.spec.server, self.spec.attempt, program.limits)
        except NoCgroup as error:
            raise gate.CannotRun(str(error)) from None
        try:
            return self._launch(program, cgroup)
        except BaseException:
            cgroup.remove()
            raise

    def _launch(self, program: Program, cgroup: Cgroup) -> Process:
        output = self.workshop.logs.open(self.spec.server)
        try:
            child = gate.begin(
                program.command,
                environment=program.environment,
                folder=program.folder,
                output=output,
                account=program.account,
                options=program.options,
                files=self.workshop.files,
            )
        finally:
            os.close(output)
        try:
            _enter(cgroup, child.pid)
            uid = proc.uid(child.pid)
            if program.account is not None:
                privileges.verify(child.pid, program.account)
            process = Process.of_child(child, self.workshop.sessions, cgroup)
            self.write(
                url=program.url,
                port=program.port,
                pid=process.pid,
                start_time=process.started,
                uid=-1 if uid is None else uid,
                cgroups=cgroup.folders,
            )
            faults.point("worker.spooled")
        except BaseException:
            gate.call_back(child)
            raise
        gate.let_go(child)
        return process

    def write(
        self,
        *,
        url: str,
        port: int = 0,
        pid: int | None = None,
        start_time: int = 0,
        uid: int = -1,
        sealed: str = "",
        cgroups: tuple[str, ...] = (),
    ) -> None:
        self.record = Record(
            server=self.spec.server,
            attempt=self.spec.attempt,
            spec=self.spec,
            boot_id=self.workshop.boot,
            url=url,
            port=port,
            pid=pid,
            start_time=start_time,
            uid=uid,
            sealed=sealed,
            cgroups=cgroups,
        )
        self.workshop.spool.write(self.record)

    def leave(self) -> None:
        """Nothing of the attempt is here any more."""
        if port := self.record.port if self.record else self.port:
            self.workshop.ports.release(port)
        if self.record:
            Cgroup(self.record.cgroups).remove()
        self.workshop.spool.remove(self.spec.server, self.spec.attempt)
        self.record = None


def _enter(cgroup: Cgroup, pid: int) -> None:
    try:
        cgroup.enter(pid)
    except OSError as error:
        raise gate.CannotRun(f"the server cannot be put into its cgroup: {error}") from None
