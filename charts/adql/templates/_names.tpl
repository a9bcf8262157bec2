{{/* The components: section of values, image, ports, and the command where it is called otherwise. */}}
{{- define "adql.facts" -}}
parameter-server: {section: parameterServer, image: service, ports: {http: 8420, side: 8421}}
replay: {section: replay, image: service, ports: {http: 8430, side: 8431}}
valkey: {section: valkey, image: valkey, ports: {redis: 6379}}
learner: {section: learner, image: learner, ports: {side: 8441}}
actor: {section: actor, image: learner, command: learner, ports: {side: 8441}}
evaluator: {section: evaluator, image: learner, ports: {side: 8451}}
controller: {section: controller, image: service, ports: {side: 8461}}
{{- end }}

{{/* Who asks whom. The NetworkPolicies of both ends are made from this. */}}
{{- define "adql.calls" -}}
parameter-server: [valkey]
learner: [parameter-server, replay]
actor: [parameter-server, replay]
evaluator: [parameter-server]
controller: [parameter-server, replay]
test: [parameter-server, replay]
{{- end }}

{{/* The components of this release that `root` asks for, of the kinds in `among`, as a list in JSON. */}}
{{- define "adql.components" -}}
{{- $absent := list -}}
{{- range list "valkey" "actor" "evaluator" "controller" }}
{{- if not (index $.root.Values . "enabled") }}{{ $absent = append $absent . }}{{ end -}}
{{- end -}}
{{- $present := list -}}
{{- range .among }}{{ if not (has . $absent) }}{{ $present = append $present . }}{{ end }}{{ end -}}
{{- toJson $present -}}
{{- end }}

{{- define "adql.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* Prefix of every name. A StatefulSet's may have 52 characters; a long one keeps apart what differs at its end. */}}
{{- define "adql.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $both := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- $full := .Values.fullnameOverride | default $both -}}
{{- gt (len $full) 35 | ternary (printf "%s-%s" ($full | trunc 28 | trimSuffix "-") ($full | sha256sum | trunc 6)) $full -}}
{{- end }}

{{- define "adql.componentName" -}}
{{- printf "%s-%s" (include "adql.fullname" .root) .component -}}
{{- end }}

{{/* Selectors and claims are immutable: nothing that an upgrade may change belongs here. */}}
{{- define "adql.releaseLabels" -}}
app.kubernetes.io/name: {{ include "adql.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "adql.selectorLabels" -}}
{{ include "adql.releaseLabels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "adql.labels" -}}
{{- $own := include "adql.releaseLabels" .root | fromYaml -}}
{{- with .component }}{{ $_ := set $own "app.kubernetes.io/component" . }}{{ end -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "adql" -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
{{- merge $own (.root.Values.commonLabels | default dict) | toYaml -}}
{{- end }}

{{/*
Name, labels and annotations of one object; `annotations` are its own, `suffix` takes the component's place in its name,
and `name` that of the whole.
*/}}
{{- define "adql.metadata" -}}
name: {{ .name | default (printf "%s-%s" (include "adql.fullname" .root) (.suffix | default .component)) | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "adql.labels" . | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "adql.serviceAccountName" -}}
{{- $own := .Values.serviceAccount.create | ternary (include "adql.fullname" .) "default" -}}
{{- .Values.serviceAccount.name | default $own -}}
{{- end }}

{{/* The controller's own, which alone may do something. */}}
{{- define "adql.controllerAccountName" -}}
{{- $own := .Values.controller.serviceAccount.create | ternary (include "adql.componentName" (dict "root" . "component" "controller")) "default" -}}
{{- .Values.controller.serviceAccount.name | default $own -}}
{{- end }}

{{/* What a component's address is to the others: its governing headless Service. */}}
{{- define "adql.url" -}}
{{- $port := index (include "adql.facts" .root | fromYaml) .component "ports" "http" -}}
http://{{ include "adql.componentName" . }}:{{ $port }}
{{- end }}
