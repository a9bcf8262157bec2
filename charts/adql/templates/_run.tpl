{{/* The run's name as the specification has it: `adql` unless it is set. */}}
{{- define "adql.run" -}}
{{- dig "run" "name" "adql" .Values.run -}}
{{- end }}

{{/* A text that is a number, which no exponent of three digits is to a computer. */}}
{{- define "adql.number" -}}
-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,2})?
{{- end }}

{{/*
The run specification as it was given, but for fractions: `--set run.algorithm.gamma=0.95` makes a text of them. No setting
outside of run and environment is a text that looks like a number.
*/}}
{{- define "adql.runYaml" -}}
{{- $run := dict -}}
{{- range $name, $section := .Values.run -}}
{{- if not (has $name (list "run" "environment")) -}}
{{- $section = regexReplaceAll (printf `"(%s)"` (include "adql.number" $)) (toJson $section) "${1}" | fromJson -}}
{{- end -}}
{{- $_ := set $run $name $section -}}
{{- end -}}
{{- toYaml $run -}}
{{- end }}

{{/* What stands under the dotted `key` of `tree`, as the only element of a list; an empty one where nothing does. */}}
{{- define "adql.at" -}}
{{- $found := list .tree -}}
{{- range $name := splitList "." .key -}}
{{- $below := list -}}
{{- range $found }}{{ if and (kindIs "map" .) (hasKey . $name) }}{{ $below = list (get . $name) }}{{ end }}{{ end -}}
{{- $found = $below -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{/* The environment's signature with all of its keys; nothing where the environment is asked for it. */}}
{{- define "adql.signature" -}}
{{- with dig "environment" "signature" dict .Values.run -}}
{{- $signature := $.Files.Get "files/specification.json" | fromJson | dig "signature" dict -}}
{{- range $name, $value := . -}}
{{- if and (eq $name "reward_threshold") (kindIs "string" $value) }}{{ $value = float64 $value }}{{ end -}}
{{- $_ := set $signature $name $value -}}
{{- end -}}
{{- toJson $signature -}}
{{- end -}}
{{- end }}

{{/* Name and defining keys of the run, defaults included: another chart may have others. A constant schedule is its number. */}}
{{- define "adql.identity" -}}
{{- $run := include "adql.runYaml" . | fromYaml -}}
{{- $identity := dict -}}
{{- range $key, $default := .Files.Get "files/identity.json" | fromJson -}}
{{- $value := append (include "adql.at" (dict "tree" $run "key" $key) | fromJsonArray) $default | first -}}
{{- if and (not (hasPrefix "environment." $key)) (kindIs "map" $value) (hasKey $value "initial") (eq (dig "kind" "constant" $value | toString) "constant") -}}
{{- $value = $value.initial -}}
{{- end -}}
{{- $_ := set $identity $key $value -}}
{{- end -}}
{{- with include "adql.signature" . }}{{ $_ := set $identity "environment.signature" (fromJson .) }}{{ end -}}
{{- toJson $identity -}}
{{- end }}

{{/*
Refuses what the parameter server would refuse, whose pod would then fail for ever. Only where it is ready, which it is with
nothing but the live run: what it has refused, or never started with, may be set right under the same name.
*/}}
{{- define "adql.checkRun" -}}
{{- $server := lookup "apps/v1" "StatefulSet" .Release.Namespace (include "adql.componentName" (dict "root" . "component" "parameter-server")) | default dict -}}
{{- $live := lookup "v1" "ConfigMap" .Release.Namespace (printf "%s-run" (include "adql.fullname" .)) | default dict -}}
{{- $former := dig "data" "identity.json" "{}" $live | fromJson -}}
{{- $name := include "adql.run" . -}}
{{- if and (dig "status" "readyReplicas" 0 $server) (eq $name (dig "run.name" "" $former)) -}}
{{- $changed := list -}}
{{- range $key, $value := include "adql.identity" . | fromJson -}}
{{- if and (hasKey $former $key) (ne (toJson $value) (get $former $key | toJson)) -}}
{{- $changed = append $changed (printf "run.%s was %s, now %s" $key (get $former $key | toJson) (toJson $value)) -}}
{{- end -}}
{{- end -}}
{{- with $changed -}}
{{- fail (printf "run %q was started with another configuration: %s; set it back, or start another run with another run.run.name, which leaves the state of this one as it is" $name (join ", " .)) -}}
{{- end -}}
{{- end -}}
{{- end }}
