#!/bin/sh
# Postgres runs this once, when its volume is empty: one database and one role for Dagster, one of each for us, and a role
# for the listener. Dagster and we must not share a database, since both keep a table alembic_version.
set -eu
secrets=${SECRETS_FOLDER:-/run/secrets}
for name in dagster verifywise; do
  # psql reads the password from the file: it appears in no command line and is quoted, so it may hold any character.
  psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --quiet <<SQL
\\set password \`cat "$secrets/${name}_password"\`
CREATE ROLE $name LOGIN PASSWORD :'password';
CREATE DATABASE $name OWNER $name;
REVOKE ALL ON DATABASE $name FROM PUBLIC;
SQL
done
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --quiet <<SQL
\\set password \`cat "$secrets/listener_password"\`
CREATE ROLE verifywise_listener LOGIN PASSWORD :'password';
GRANT CONNECT ON DATABASE verifywise TO verifywise_listener;
SQL
