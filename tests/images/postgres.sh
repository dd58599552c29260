#!/bin/sh
# What the postgres image makes of its variables: a cluster and a database at the first start, then the server.
set -e
export PATH="$(echo /usr/lib/postgresql/*/bin):$PATH"
if [ "$(id -u)" = 0 ]; then
    install --directory --owner=postgres "$PGDATA" /run/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups sh "$0"
fi
if ! [ -s "$PGDATA/PG_VERSION" ]; then
    echo "$POSTGRES_PASSWORD" | initdb --username="$POSTGRES_USER" --pwfile=/dev/stdin --encoding=UTF8 \
        --auth-local=trust --auth-host=scram-sha-256
    echo "CREATE DATABASE $POSTGRES_DB" | postgres --single postgres
fi
exec postgres
