{{/* Peers: the pods of one component of this release. */}}
{{- define "adql.peer" -}}
- podSelector:
    matchLabels:
      {{- include "adql.selectorLabels" . | nindent 6 }}
{{- end }}

{{/* Who may ask `component`: those that the table of calls has, and whoever scrapes its side port. */}}
{{- define "adql.ingress" -}}
{{- $ports := omit .fact.ports "side" -}}
{{- $callers := list -}}
{{- range $caller, $callees := include "adql.calls" .root | fromYaml -}}
{{- if has $.component $callees }}{{ $callers = append $callers $caller }}{{ end -}}
{{- end -}}
{{- with include "adql.components" (dict "root" .root "among" $callers) | fromJsonArray }}
- from:
    {{- range . }}
    {{- include "adql.peer" (dict "root" $.root "component" .) | nindent 4 }}
    {{- end }}
  ports:
    {{- range $ports }}
    - port: {{ . }}
    {{- end }}
{{- end }}
{{- if and .fact.ports.side .root.Values.networkPolicy.metrics.from }}
- from:
    {{- toYaml .root.Values.networkPolicy.metrics.from | nindent 4 }}
  ports:
    - port: {{ .fact.ports.side }}
{{- end }}
{{- end }}

{{/* Whom `component` may ask: those that the table of calls has, DNS to find them, and what values add. */}}
{{- define "adql.egress" -}}
{{- $facts := include "adql.facts" .root | fromYaml -}}
{{- $callees := index (include "adql.calls" .root | fromYaml) .component | default list -}}
{{- range include "adql.components" (dict "root" .root "among" $callees) | fromJsonArray }}
- to:
    {{- include "adql.peer" (dict "root" $.root "component" .) | nindent 4 }}
  ports:
    {{- range omit (index $facts . "ports") "side" }}
    - port: {{ . }}
    {{- end }}
{{- end }}
{{- if and $callees .root.Values.networkPolicy.dns.to }}
- to:
    {{- toYaml .root.Values.networkPolicy.dns.to | nindent 4 }}
  ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end }}
{{- if eq .component "controller" }}
- to:
    {{- range .root.Values.networkPolicy.apiServer.cidrs }}
    - ipBlock:
        cidr: {{ . | quote }}
    {{- end }}
  ports:
    - port: 443
    - port: 6443
{{- end }}
{{- $extra := .values.extraEgress -}}
{{- if eq .component "parameter-server" }}{{ $extra = .root.Values.redis.external.egress }}{{ end -}}
{{- with $extra }}
{{ toYaml . }}
{{- end }}
{{- end }}
