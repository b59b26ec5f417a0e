#!/usr/bin/env python3
"""A Slurm cluster on this machine alone: real daemons over loopback, nominal nodes.

    cluster.py start     bring it up, and wait until its nodes take jobs (needs root)
    cluster.py status    daemons, nodes and jobs; exit code 0 if usable, else 3
    cluster.py stop      cancel all jobs, end all daemons, remove everything

Partition `cpu` (the default) has the node `cpu1`, partition `gpu` the node `gpu1` with two GPUs
that do not exist: Slurm hands them out and sets CUDA_VISIBLE_DEVICES. CPUs and memory are nominal
too; time limits are real. There is no accounting database. Needs slurm-wlm and munge, and psutil.

Clients find the cluster by a link at one of Slurm's own places, so there can be only one, and none
where the machine has a Slurm already: Snakemake's jobs drop SLURM_CONF from their environment.
"""

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

FOLDER, PORT = "/tmp/mrisr-slurm", 21817
LINK = Path("/run/slurm/conf/slurm.conf")
SYSTEM = Path("/etc/slurm/slurm.conf")
TOOLS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "scontrol", "sinfo", "squeue")
NODES = ("cpu1", "gpu1")
# In the environment of a node's daemon and of what keeps watch over its jobs.
NODE_MARK = "MRISR_TEST_NODE"
PATIENCE = 60  # seconds that a daemon has to come up

# Nothing here needs cgroups, systemd or a database. Finished jobs stay visible to squeue; a node
# that does not answer is down after ten seconds, and takes jobs again once it is back.
CONF = """\
ClusterName=mrisr
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/log/jobs.txt
MpiDefault=none
{listen}
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,batch_sched_delay=0,sched_min_interval=0
GresTypes=gpu
KillWait=5
MinJobAge=600
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
NodeName=DEFAULT CPUs=8 RealMemory=64000
NodeName=cpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={cpu_port}
NodeName=gpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={gpu_port} Gres=gpu:fake:2
PartitionName=DEFAULT DefMemPerCPU=1000 DefaultTime=10 MaxTime=UNLIMITED OverTimeLimit=0 State=UP
PartitionName=cpu Nodes=cpu1 Default=YES
PartitionName=gpu Nodes=gpu1
"""


class Unavailable(Exception):
    """There can be no cluster here; the text says why."""


class Cluster:
    """The cluster whose files lie in `folder`."""

    def __init__(self, folder: str | Path = FOLDER, port: int = PORT):
        self.folder = Path(folder).resolve()
        self.port = port
        self.conf = self.folder / "etc" / "slurm.conf"
        self.started = self.folder / "daemons.json"

    def why_not(self) -> str | None:
        """Return what stands against a cluster on this machine, or None."""
        lacking = [tool for tool in TOOLS if not _tool(tool)]
        if lacking:
            return f"not installed: {', '.join(lacking)} (apt-get install slurm-wlm munge)"
        if os.geteuid() != 0:
            return "only root can start Slurm's daemons"
        if SYSTEM.exists():
            return f"{SYSTEM}: this machine has a Slurm of its own"
        if LINK.is_symlink() and LINK.readlink() != self.conf:
            return f"{LINK} is another cluster's: {LINK.readlink()}"
        return None

    def start(self) -> None:
        """Bring up what does not run: also a node, or all, after `kill`.

        Raises:
            Unavailable: See `why_not`, or a daemon did not come up.
        """
        if reason := self.why_not():
            raise Unavailable(reason)
        if not self.conf.exists():
            self._prepare()
        LINK.parent.mkdir(parents=True, exist_ok=True)
        if not LINK.is_symlink():
            LINK.symlink_to(self.conf)
        munge = self.folder / "munge"
        self._launch(
            *("munged", "--foreground", "--force", f"--socket={munge}/socket"),
            *(f"--key-file={munge}/key", f"--seed-file={munge}/seed"),
            *(f"--pid-file={munge}/pid", f"--log-file={self.folder}/log/munged.log"),
        )
        self._await("munged", lambda: _ask("munge", "-n", "-S", f"{munge}/socket"))
        self._launch("slurmctld", "-D")
        self._await("slurmctld", lambda: "is UP" in _ask("scontrol", "ping"))
        for node in NODES:
            self._launch("slurmd", "-D", "-N", node, name=node)
        for node in NODES:
            self._await(node, lambda node=node: self.state(node) in ("idle", "mix", "alloc"))

    def stop(self) -> None:
        """Cancel all jobs, end all daemons, remove link and folder."""
        if self._runs("slurmctld"):
            _ask("scancel", "--full", "--user=root")
            deadline = time.monotonic() + 10
            while _ask("squeue", "--noheader") and time.monotonic() < deadline:
                time.sleep(0.1)
        daemons = [self._process(name) for name in (*NODES, "slurmctld", "munged")]
        for daemon in filter(None, daemons):
            daemon.terminate()
        psutil.wait_procs(filter(None, daemons), timeout=10)
        self.kill()
        if LINK.is_symlink() and LINK.readlink() == self.conf:
            LINK.unlink()
            for folder in LINK.parents[:2]:
                if not any(folder.iterdir()):
                    folder.rmdir()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self, node: str | None = None) -> None:
        """End the daemon and all jobs of a node by SIGKILL, or those of the whole cluster."""
        names = [node] if node else [*NODES, "slurmctld", "munged"]
        doomed = [process for name in names if (process := self._process(name))]
        doomed += [process for process in psutil.process_iter() if self._belongs(process, node)]
        # All stand still first, so that none has the time to report the end of another.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in doomed:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
        psutil.wait_procs(doomed, timeout=10)

    def usable(self) -> bool:
        """Say whether all daemons run and all nodes take jobs."""
        return all(map(self._runs, ("munged", "slurmctld", *NODES))) and all(
            self.state(node) in ("idle", "mix", "alloc", "comp") for node in NODES
        )

    def state(self, node: str) -> str:
        """Return the state of a node, as sinfo puts it."""
        return _ask("sinfo", "--noheader", "--nodes", node, "--format=%t").partition("\n")[0]

    def status(self) -> str:
        """Return daemons, nodes and jobs as text."""
        daemons = [
            f"{name} {'runs' if self._runs(name) else 'does not run'}"
            for name in ("munged", "slurmctld", *NODES)
        ]
        if self._runs("slurmctld"):
            daemons += [_ask("sinfo", "--Node", "--long"), _ask("squeue", "--long")]
        return "\n".join(daemons)

    def _prepare(self) -> None:
        for name in ("etc", "munge", "state", "log", "gpus", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        (self.folder / "munge").chmod(0o755)
        key = self.folder / "munge" / "key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(1024))
        # Slurm counts device files and looks at nothing but their type.
        for index in range(2):
            (self.folder / "gpus" / f"gpu{index}").symlink_to("/dev/null")
        gpus = f"NodeName=gpu1 Name=gpu Type=fake File={self.folder}/gpus/gpu[0-1]\n"
        (self.conf.parent / "gres.conf").write_text(gpus)
        ports = {"port": self.port, "cpu_port": self.port + 1, "gpu_port": self.port + 2}
        host = socket.gethostname().partition(".")[0]
        # Slurm knows no other way to stay off the network than the address of the host's name.
        loopback = socket.gethostbyname(socket.gethostname()).startswith("127.")
        listen = "CommunicationParameters=NoCtldInAddrAny,NoInAddrAny" if loopback else ""
        self.conf.write_text(CONF.format(folder=self.folder, host=host, listen=listen, **ports))

    def _launch(self, tool: str, *arguments: str, name: str | None = None) -> None:
        name = name or tool
        if self._runs(name):
            return
        with (self.folder / "log" / f"{name}.out").open("w") as output:
            process = subprocess.Popen(
                [_tool(tool), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment() | {NODE_MARK: name},
                start_new_session=True,
            )
        # The time tells it from a later process with the same number.
        known = self._known() | {name: [process.pid, psutil.Process(process.pid).create_time()]}
        self.started.write_text(json.dumps(known))

    def _await(self, name: str, ready) -> None:
        deadline = time.monotonic() + PATIENCE
        while not ready():
            if not self._runs(name) or time.monotonic() > deadline:
                log = (self.folder / "log" / f"{name}.out").read_text()[-2000:]
                raise Unavailable(f"{name} did not come up\n{log}")
            time.sleep(0.1)

    def _known(self) -> dict:
        return json.loads(self.started.read_text()) if self.started.exists() else {}

    def _process(self, name: str) -> psutil.Process | None:
        pid, since = self._known().get(name, (0, 0))
        try:
            process = psutil.Process(pid)
            running = process.create_time() == since and process.status() != psutil.STATUS_ZOMBIE
            return process if running else None
        except psutil.NoSuchProcess:
            return None

    def _runs(self, name: str) -> bool:
        return self._process(name) is not None

    def _environment(self) -> dict:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SBATCH"))}
        return {**kept, "SLURM_CONF": str(self.conf)}

    def _belongs(self, process: psutil.Process, node: str | None) -> bool:
        """Say whether a process is a job's, or keeps watch over one, on `node` or any."""
        try:
            # Not psutil's: it stops at the gap that slurmstepd's new title leaves.
            text = Path(f"/proc/{process.pid}/environ").read_bytes().decode(errors="replace")
        except OSError:
            return False
        around = set(text.split("\0"))
        if process.pid == os.getpid() or f"SLURM_CONF={self.conf}" not in around:
            return False
        marks = {f"SLURMD_NODENAME={node}", f"{NODE_MARK}={node}"}
        return node is None or bool(marks & around)


def _tool(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _ask(*command: str) -> str:
    """Return what a command of Slurm says on stdout; nothing if it fails."""
    try:
        done = subprocess.run(
            [_tool(command[0]), *command[1:]], capture_output=True, text=True, timeout=20
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="A Slurm cluster on this machine alone.")
    parser.add_argument("action", choices=["start", "stop", "status"])
    parser.add_argument("--folder", default=FOLDER, help="for its files (default %(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="first of three (%(default)s)")
    given = parser.parse_args()
    cluster = Cluster(given.folder, given.port)
    try:
        if given.action == "start":
            cluster.start()
            print(f"ready: partitions cpu and gpu, files in {cluster.folder}")
        elif given.action == "stop":
            cluster.stop()
            print("stopped")
        else:
            print(cluster.status())
            sys.exit(0 if cluster.usable() else 3)
    except Unavailable as reason:
        sys.exit(f"error: {reason}")


if __name__ == "__main__":
    main()
