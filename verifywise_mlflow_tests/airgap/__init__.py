"""Runs a command in a network namespace with loopback only, and reports which other addresses it tried to contact.

``python -m verifywise_mlflow_tests.airgap COMMAND …`` exits with the command's own exit code or with one of the codes
below. In the namespace, all addresses are routed to the loopback interface, where nothing listens. So an attempt is
refused immediately, as in an isolated network. The packets of all descendants of the command are captured, including
DNS queries. Ways to hide an attempt are removed: resolver sockets in the file system, and proxies in the environment.
"""

REACHED_OUT = 3
"""The command tried to contact another address."""

NO_NAMESPACE = 4
"""The kernel or its administrator does not allow network namespaces; the command was not run."""
