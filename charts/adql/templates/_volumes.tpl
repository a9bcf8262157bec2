{{/* The Secret with the tokens, and that with the store's password; empty where there is none. */}}
{{- define "adql.tokensSecret" -}}
{{- if .Values.auth.enabled }}{{ .Values.auth.existingSecret | default (printf "%s-tokens" (include "adql.fullname" .)) }}{{ end -}}
{{- end }}

{{- define "adql.storeSecret" -}}
{{- if .Values.valkey.enabled -}}
{{- .Values.valkey.existingSecret | default (printf "%s-valkey" (include "adql.fullname" .)) -}}
{{- else -}}
{{- .Values.redis.external.existingSecret -}}
{{- end -}}
{{- end }}

{{/* Keys in them: the chart's own Secrets have fixed ones. */}}
{{- define "adql.tokensKey" -}}
{{- empty .Values.auth.existingSecret | ternary "tokens" .Values.auth.tokensKey -}}
{{- end }}

{{- define "adql.passwordKey" -}}
{{- $own := empty .Values.valkey.existingSecret | ternary "password" .Values.valkey.passwordKey -}}
{{- .Values.valkey.enabled | ternary $own .Values.redis.external.passwordKey -}}
{{- end }}

{{/* What each component mounts: volume and folder. Secrets are mounted whole, so that a new token arrives. */}}
{{- define "adql.mounts" -}}
{{- $stateful := has .component (list "parameter-server" "replay" "valkey") -}}
tmp: /tmp
{{- if $stateful }}
data: /data
{{- end }}
{{- if not (has .component (list "valkey" "controller")) }}
run: /etc/adql
{{- end }}
{{- if and (ne .component "valkey") .root.Values.auth.enabled }}
tokens: /run/secrets/adql
{{- end }}
{{- if eq .component "controller" }}
kubernetes: /var/run/secrets/kubernetes.io/serviceaccount
{{- end }}
{{- if and (has .component (list "parameter-server" "valkey")) (include "adql.storeSecret" .root) }}
store: /run/secrets/store
{{- end }}
{{- if eq .component "valkey" }}
users: /run/valkey
{{- end }}
{{- end }}

{{- define "adql.volumeMounts" -}}
{{- range $name, $path := include "adql.mounts" . | fromYaml }}
- name: {{ $name }}
  mountPath: {{ $path }}
  {{- if has $name (list "run" "tokens" "store" "kubernetes") }}
  readOnly: true
  {{- end }}
{{- end }}
{{- with .values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "adql.volumes" -}}
{{- $mounts := include "adql.mounts" . | fromYaml -}}
- name: tmp
  emptyDir: {}
{{- if hasKey $mounts "run" }}
- name: run
  configMap:
    name: {{ include "adql.fullname" .root }}-run
{{- end }}
{{- if hasKey $mounts "tokens" }}
- name: tokens
  secret:
    secretName: {{ include "adql.tokensSecret" .root | quote }}
    defaultMode: 0440
    items:
      - key: {{ include "adql.tokensKey" .root | quote }}
        path: tokens
{{- end }}
{{- if hasKey $mounts "store" }}
- name: store
  secret:
    secretName: {{ include "adql.storeSecret" .root | quote }}
    defaultMode: 0440
    items:
      - key: {{ include "adql.passwordKey" .root | quote }}
        path: password
{{- end }}
{{- if hasKey $mounts "kubernetes" }}
# What automountServiceAccountToken would mount, and in this one pod alone.
- name: kubernetes
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3600
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                fieldPath: metadata.namespace
{{- end }}
{{- if hasKey $mounts "users" }}
- name: users
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{- end }}
{{- with .values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
