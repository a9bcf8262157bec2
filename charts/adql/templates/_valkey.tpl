{{/*
The store: nothing is acknowledged before it is on the volume, nothing is evicted, and the one user may do what
libs/adql/parameters/store.py does. The password goes from its file into a hash in memory, and nowhere else.
*/}}
{{- define "adql.valkeyCommand" -}}
command: [sh, -euc]
args:
  - |
    umask 077
    hash="$(tr -d '\r\n' </run/secrets/store/password | sha256sum | cut -d ' ' -f 1)"
    printf '%s\n' 'user default off' \
      "user adql on #$hash ~adql:* resetchannels -@all +hmget +hgetall +hset +evalsha +script|load +config|get +info +ping +select" \
      >/run/valkey/users.acl
    exec valkey-server --dir /data --aclfile /run/valkey/users.acl --save '' \
      --appendonly yes --appendfsync always --no-appendfsync-on-rewrite no --aof-load-truncated yes \
      --auto-aof-rewrite-min-size {{ .Values.valkey.rewriteMinSize }} \
      --maxmemory {{ include "adql.maxmemory" . }} --maxmemory-policy noeviction
{{- end }}

{{/* Alive: it answers, if only to ask who it is. Ready: its data are loaded. The password comes by stdin. */}}
{{- define "adql.valkeyProbes" -}}
startupProbe:
  exec: {command: [sh, -c, valkey-cli ping | grep -q .]}
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 300
livenessProbe:
  exec: {command: [sh, -c, valkey-cli ping | grep -q .]}
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  exec: {command: [sh, -c, valkey-cli --user adql --askpass ping </run/secrets/store/password | grep -q PONG]}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}
