# Starts the weight store: nothing is acknowledged before it is on the volume, nothing is evicted, and the one user may do
# what libs/adql/parameters/store.py does: only parts of a state, adql:RUN:OWNER:COMMIT, can be deleted. The password goes from its file into a hash in memory, and nowhere else; with
# another one in the file it ends, to be started again with that.
set -eu
umask 077
hash_of() { tr -d '\r\n' </run/secrets/store/password | sha256sum | cut -d ' ' -f 1; }
hash="$(hash_of)"
printf '%s\n' 'user default off' \
  "user adql on #$hash ~adql:* resetchannels -@all +hget +hmget +hgetall +hset +evalsha +script|load +config|get +info +ping +select (~adql:*:* -@all +hlen +expire +persist +unlink)" \
  >/run/valkey/users.acl
# Kubernetes makes one dollar of two, so that the number of this process is written with braces.
(while sleep "${WATCH_SECONDS:-5}"; do [ ! -s /run/secrets/store/password ] || [ "$(hash_of)" = "$hash" ] || kill -TERM "${$}"; done) &
exec valkey-server --dir /data --aclfile /run/valkey/users.acl --save '' \
  --appendonly yes --appendfsync always --no-appendfsync-on-rewrite no --aof-load-truncated yes \
  --auto-aof-rewrite-min-size "$REWRITE_MIN_SIZE" --maxmemory "$MAXMEMORY" --maxmemory-policy noeviction "$@"
