"""Runs a command where there is nothing but the loopback interface, and tells what it tried to reach beyond.

``python -m verifywise_mlflow_tests.airgap COMMAND …`` ends with the command's own exit code, or with one of those
below. In a network namespace of its own, every address in the world leads to the loopback interface, where nobody
answers: an attempt is refused at once, as in a network that is cut off, and its packets are seen on the way, whichever
descendant of the command sends them. Names are asked of a nameserver by such packets, so they are seen, too. What could
hide an attempt is taken away: the sockets of resolvers in the file system, and the proxies in the environment.
"""

REACHED_OUT = 3
"""It tried to reach something."""

NO_NAMESPACE = 4
"""The kernel, or who runs this machine, gives nobody a network namespace, so nothing was tried."""
