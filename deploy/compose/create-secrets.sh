#!/bin/sh
# Writes the secrets of deploy/compose.yaml with random passwords: sh deploy/compose/create-secrets.sh [FOLDER]
# A file that exists stays. The account of the containers (10001) must be able to read the files.
set -eu
folder=${1:-$(dirname "$0")/../secrets}
mkdir -p "$folder/tenants" "$folder/webhooks"
chmod 700 "$folder"
write() { [ -e "$folder/$1" ] || printf '%s' "$2" >"$folder/$1"; }
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; } # 192 bits, safe in a URL
for name in postgres dagster verifywise listener broker; do write "${name}_password" "$(random)"; done
write database_url "postgresql://verifywise:$(cat "$folder/verifywise_password")@postgres:5432/verifywise"
write listener_database_url "postgresql://verifywise_listener:$(cat "$folder/listener_password")@postgres:5432/verifywise"
write broker_url "redis://:$(cat "$folder/broker_password")@broker:6379/0"
# Compose mounts the files with their owner and mode, and two accounts read them: ours and that of Postgres. The folder,
# which the containers do not see, keeps other people of the machine out.
chmod 444 "$folder"/*_password "$folder"/*_url
