"""One Apache Kafka node (KRaft) on loopback: `python deploy/kafka/node.py fetch|format|start`.

`fetch` brings the jars by Maven coordinates, `format` prepares a data folder, `start` does both if needed and then
becomes the broker. Needs a JDK 17 or newer, and Maven for the fetch. Standard library only.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIBS = HERE / "libs"
JAVA_MIN = 17
HEAP_MB = 512
FETCH_TRIES = 3
MAX_MESSAGE_BYTES = 17 << 20

# The short registration times let a node that was killed come back in about 5 s instead of 12.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=400
message.max.bytes={max_message_bytes}
replica.fetch.max.bytes={max_message_bytes}
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.backoff.ms=1000
num.network.threads=2
num.io.threads=4
"""


class NodeError(Exception):
    """A node that cannot be had, with the words of the tool that failed."""


class MissingToolError(NodeError):
    """A tool that this machine lacks."""


def java() -> str:
    """Return the java to run; raise `MissingToolError` if there is none of version 17 or newer."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if found is None:
        raise MissingToolError(f"no java found: install a JDK {JAVA_MIN} or newer, or set JAVA_HOME")
    text = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', text)
    if version is None or int(version.group(1)) < JAVA_MIN:
        raise MissingToolError(f"{found} is older than {JAVA_MIN}: {text.splitlines()[:1]}")
    return found


def fetch() -> None:
    """Bring the jars into `libs`, unless they are there."""
    if any(LIBS.glob("kafka_2.13-*.jar")):
        return
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingToolError("no mvn found: install Apache Maven, it brings the jars of Kafka")
    draft = LIBS.with_name(f"libs.{os.getpid()}")
    command = [maven, "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={draft}"]
    for attempt in range(1, FETCH_TRIES + 1):
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
        shutil.rmtree(draft, ignore_errors=True)
        if attempt == FETCH_TRIES:
            raise NodeError(f"Maven could not bring the jars of Kafka: {done.stdout[-500:].strip()}")
    if LIBS.exists():
        shutil.rmtree(draft)
    else:
        draft.rename(LIBS)


def prepare(data: Path, port: int, controller_port: int) -> Path:
    """Write the properties and format the data folder if it is new; return the properties file."""
    data.mkdir(parents=True, exist_ok=True)
    properties = data / "server.properties"
    properties.write_text(
        PROPERTIES.format(
            port=port, controller_port=controller_port, data=data / "logs", max_message_bytes=MAX_MESSAGE_BYTES
        )
    )
    if not (data / "logs" / "meta.properties").exists():
        # The tool takes an id that begins with a dash for an option.
        cluster = "k" + urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        tool = [java(), "-cp", f"{LIBS}/*", "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)]
        done = subprocess.run(tool, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NodeError(
                f"the data folder {data} could not be formatted: {(done.stdout + done.stderr)[-500:].strip()}"
            )
    return properties


def command(properties: Path, heap_mb: int = HEAP_MB) -> list[str]:
    """Return the command that runs the broker in the foreground."""
    heap = [f"-Xms{heap_mb}m", f"-Xmx{heap_mb}m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]
    logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
    return [java(), *heap, logging, "-cp", f"{LIBS}/*", "kafka.Kafka", str(properties)]


def main() -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("action", nargs="?", default="start", choices=["fetch", "format", "start"])
    parser.add_argument("--data", type=Path, default=Path("var/kafka"), help="data folder")
    parser.add_argument("--port", type=int, default=9092)
    parser.add_argument("--controller-port", type=int, default=9093)
    given = parser.parse_args()
    try:
        java()
        fetch()
        if given.action == "fetch":
            return 0
        properties = prepare(given.data.resolve(), given.port, given.controller_port)
        if given.action == "format":
            return 0
        run = command(properties)
    except NodeError as error:
        print(f"kafka: {error}", file=sys.stderr)
        return 69
    print(f"Kafka on kafka://127.0.0.1:{given.port}, data in {given.data}. Ctrl-C stops it.", flush=True)
    os.execv(run[0], run)  # noqa: S606  (become the broker: signals reach it directly)
    return 0


if __name__ == "__main__":
    sys.exit(main())
