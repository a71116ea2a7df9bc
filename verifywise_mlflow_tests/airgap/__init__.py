"""Runs a command in a network namespace with loopback only, and reports which other addresses it tried to contact.

``python -m verifywise_mlflow_tests.airgap COMMAND …`` exits with the command's own exit code or with one of the codes
below. In the namespace all addresses are routed to the loopback interface, where nothing listens: an attempt is refused
at once, as in an isolated network, and its packets are captured, no matter which descendant of the command sends them.
DNS queries are such packets, too. Ways to hide an attempt are removed: resolver sockets in the file system, and proxies
in the environment.
"""

REACHED_OUT = 3
"""The command tried to contact another address."""

NO_NAMESPACE = 4
"""The kernel or its administrator does not allow network namespaces; the command was not run."""
