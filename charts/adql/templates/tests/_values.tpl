{{/*
The values of `helm test`, from those of learners: where they run, with all that their environment needs and as much
memory at most, but without their GPUs, and asking for little, so that it never waits for a learner to go.
*/}}
{{- define "adql.testValues" -}}
{{- $limits := pick (.resources.limits | default dict) "memory" -}}
{{- $resources := dict "requests" (dict "cpu" "50m" "memory" "96Mi") "limits" $limits -}}
{{- $kept := pick . "nodeSelector" "tolerations" "priorityClassName" "runtimeClassName" "extraEnv" "extraVolumes" "extraVolumeMounts" "extraEgress" -}}
{{- set $kept "resources" $resources | toYaml -}}
{{- end }}
