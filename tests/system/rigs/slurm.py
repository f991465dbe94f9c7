"""A Slurm cluster of one node, as root: munged, slurmctld and slurmd with settings and sockets of their own."""

import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hubbub.free_port import free_port
from rigs.ground import Ground, daemon, run, until

SETTINGS = """
ClusterName=rig
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={room}/munge/socket
CryptoType=crypto/munge
CommunicationParameters=NoInAddrAny
MpiDefault=none
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
StateSaveLocation={room}/state
SlurmdSpoolDir={room}/spool
SlurmctldPidFile={room}/slurmctld.pid
SlurmdPidFile={room}/slurmd.pid
KillWait=3
MinJobAge=5
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 CPUs=64 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class SlurmRig:
    settings: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.settings)}

    def live(self) -> list[str]:
        """Jobs that are not over."""
        return run("squeue", "--noheader", "--format=%i", environ=self.environ).split()

    def owner(self, job: str) -> str:
        return run("squeue", "--noheader", "--format=%u", f"--jobs={job}", environ=self.environ).strip()

    def kill(self, job: str) -> None:
        run("scancel", "--signal=KILL", "--full", job, environ=self.environ)


@contextmanager
def slurm_rig(ground: Ground) -> Iterator[SlurmRig]:
    room = ground.room("slurm")
    for name in ("state", "spool", "munge"):
        (room / name).mkdir(mode=0o755)
    settings = room / "slurm.conf"
    controller, node = free_port(), free_port()
    host = socket.gethostname().partition(".")[0]
    settings.write_text(SETTINGS.format(room=room, host=host, controller=controller, node=node))
    rig = SlurmRig(settings)
    with ExitStack() as stack:
        stack.enter_context(_munge(room))
        for name in ("slurmctld", "slurmd"):
            runs = stack.enter_context(daemon(room, name, "-D", "-f", settings, environ=rig.environ))
        until(lambda: _is_idle(rig), 30, f"an idle node: see {room}", runs)
        stack.callback(run, "scancel", "--state=PENDING", "--state=RUNNING", environ=rig.environ)
        yield rig


@contextmanager
def _munge(room: Path) -> Iterator[None]:
    key, socket_ = room / "munge" / "key", room / "munge" / "socket"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    files = [f"--{name}-file={room}/munge/{name}" for name in ("pid", "log", "seed")]
    with daemon(room, "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={socket_}", *files) as runs:
        until(socket_.exists, 10, f"munged: see {room}/munged.log", runs)
        yield


def _is_idle(rig: SlurmRig) -> bool:
    try:
        return "idle" in run("sinfo", "--noheader", "--format=%T", environ=rig.environ)
    except AssertionError:
        return False
