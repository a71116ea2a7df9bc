"""Helpers that tests of several packages share. A helper that only one package needs is in that package's folder.

Servers and databases:

- ``databases``: Postgres databases, empty or with our schema, lent to one test after the other
- ``warm_connections``: keeps the connections to such a database for the next test
- ``registry``: fills a real MLflow registry through MLflow's own client
- ``session_servers``: the Postgres and the MLflow server that all processes of a session share
- ``scheduling``: which test files run in one process, and which begin first
- ``mlflow_process``: MLflow's command line, with a server of one process that omits work that no test needs
- ``seeding``: fills a real MLflow's SQLite database with thousands of rows, past its API
- ``dagster_migrations``: makes Dagster's SQLite files cheap to open
- ``dagster_files``: copies the SQLite files of a new Dagster instance
- ``warm_parent``: a process that has imported what services import, and is forked for each service
- ``warm_services``: starts the services of tests from this process
- ``compiled_statements``: lets all stores of a process share compiled SQL
- ``shared_sandboxes``: lends the worker processes of one sync to the next one
- ``running_listener``: a listener of webhooks, which the MLflow server of a session delivers to
- ``proxy``: a proxy in front of a real MLflow server that counts requests and injects faults
- ``hostile_server``: a server that sends exactly the bytes that a test chooses
- ``forward_proxy``: an HTTP proxy between a tenant and its server
- ``certificate_authorities``: certificates and TLS contexts of a private authority
- ``login_roles``: database roles that may log in
- ``softhsm``: a PKCS#11 token with an Ed25519 key, in SoftHSM
- ``webhook_installation``: MLflow with webhooks, the listener and Dagster, each in processes of its own
- ``read_side_bank``: a bank with two tenants, synced twice, for everything that only reads the store

Contents:

- ``syncing``: runs a sync and reads its rows
- ``traces``: traces with assessments, as a client sends them to MLflow
- ``record_inputs_factory``: inputs for the normalizer
- ``stored_states``: records and verdicts, written into the store directly
- ``evaluation_fixtures``: policies that a test writes, evaluated from the store alone
- ``credit_tenant``: a model with a champion, a challenger and an archived version under the default policy
- ``trail_entries``: entries of an audit trail, appended to the store
- ``audit_chains``: audit chains in memory
- ``planted_secrets``: recognizable secrets, and the search for them in all output
- ``planted_secret_tenants``: tenants with a planted secret in each field, at servers that echo their requests
- ``published_schemas``: the JSON Schemas in the package and in the docs
- ``json_documents``: checks what commands print against these schemas
- ``documentation``: the pages under docs/, their code blocks and their generated tables
"""
