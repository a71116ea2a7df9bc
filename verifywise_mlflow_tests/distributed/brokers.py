"""Debian's Redis and RabbitMQ, each as a process of its own with a password, on 127.0.0.1."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import pytest

from verifywise_mlflow.demo.servers.ports import free_port
from verifywise_mlflow.demo.servers.process import ChildProcess, wait_for_port

_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class BrokerServer(ABC):
    """A broker that a test can stop and start again."""

    def __init__(self, home: Path) -> None:
        """Choose a port and a password; files go into ``home``."""
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.port = free_port()
        self.password = f"canary{secrets.token_hex(12)}"
        self.process: ChildProcess | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL with the password."""

    @abstractmethod
    def start(self) -> None:
        """Start the broker, and wait until it accepts connections."""

    def stop(self) -> None:
        """Stop the broker. Messages that it keeps in memory only are lost."""
        if self.process is not None:
            self.process.stop()
            self.process = None

    def __enter__(self) -> BrokerServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Redis(BrokerServer):
    """Redis without persistence: a restart loses the queued messages."""

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        config = self.home / "redis.conf"
        config.write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\nsave ''\nappendonly no\ndir {self.home}\n"
        )
        self.process = ChildProcess(
            "Redis", [_program("redis-server"), config], log=self.home / "redis.log", env={"PATH": os.defpath}
        )
        wait_for_port(self.process, self.port, seconds=30)


class RabbitMQ(BrokerServer):
    """RabbitMQ with its own Erlang port mapper, which stops with RabbitMQ."""

    @property
    def url(self) -> str:
        return f"amqp://ours:{self.password}@127.0.0.1:{self.port}//"

    @property
    def _environment(self) -> Mapping[str, str]:
        return {
            "PATH": f"{os.defpath}:/usr/sbin:/sbin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "test@localhost",
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_MNESIA_BASE": str(self.home / "data"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none",
        }

    def start(self) -> None:
        self._mapper_port, self._node_port = free_port(), free_port()
        (self.home / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\ndefault_user = ours\ndefault_pass = {self.password}\n"
        )
        (self.home / "plugins").write_text("[].\n")
        self.process = ChildProcess(
            "RabbitMQ", [_program(str(_RABBITMQ))], log=self.home / "rabbitmq.log", env=self._environment
        )
        wait_for_port(self.process, self.port, seconds=60)

    def stop(self) -> None:
        super().stop()
        mapper = shutil.which("epmd")
        if mapper:
            subprocess.run([mapper, "-kill"], env=dict(self._environment), check=False, capture_output=True, timeout=20)


def _program(name: str) -> str:
    path = shutil.which(name, path=f"{os.defpath}:/usr/sbin")
    if path is None:
        package = "rabbitmq-server" if "rabbitmq" in name else name
        hint = f"apt-get install {package}: this test needs Debian's {package}"
        if os.environ.get("CI"):
            pytest.fail(hint)
        pytest.skip(hint)
    return path
