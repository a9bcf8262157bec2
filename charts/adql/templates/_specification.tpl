{{/* A schedule with all of its keys: a bare number is a constant one, and so is what does not say its kind. */}}
{{- define "adql.schedule" -}}
{{- $schedule := dict "kind" "constant" "final" nil "steps" nil -}}
{{- range $name, $value := kindIs "map" . | ternary . (dict "initial" .) }}{{ $_ := set $schedule $name $value }}{{ end -}}
{{- toJson $schedule -}}
{{- end }}

{{/* Every key of the run specification with its value, as it was given or by default. */}}
{{- define "adql.settings" -}}
{{- $known := .Files.Get "files/specification.json" | fromJson -}}
{{- $run := include "adql.runYaml" . | fromYaml -}}
{{- $settings := dict -}}
{{- range $key, $default := $known.defaults -}}
{{- $value := append (include "adql.at" (dict "tree" $run "key" $key) | fromJsonArray) $default | first -}}
{{- if has $key $known.schedules }}{{ $value = include "adql.schedule" $value | fromJson }}{{ end -}}
{{- $_ := set $settings $key $value -}}
{{- end -}}
{{- toJson $settings -}}
{{- end }}

{{/* What the program would refuse of keys that are each right by themselves: its pods would fail for ever. In its words. */}}
{{- define "adql.validateRun" -}}
{{- $known := .Files.Get "files/specification.json" | fromJson -}}
{{- $settings := include "adql.settings" . | fromJson -}}
{{- $said := list -}}
{{- range $home := $known.homes -}}
{{- $chosen := get $settings $home.choice -}}
{{- range $key := has $chosen $home.values | ternary list $home.keys -}}
{{- $value := get $settings $key -}}
{{- if ne (toJson $value) (get $known.defaults $key | toJson) -}}
{{- $shown := kindIs "map" $value | ternary "" (toJson $value | printf "=%s") -}}
{{- $said = append $said (printf "run.%s%s belongs to run.%s=%s, not to %s; remove it or change run.%s" $key $shown $home.choice (join " or " $home.values) $chosen $home.choice) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $key := $known.schedules -}}
{{- $schedule := get $settings $key -}}
{{- if and (eq $schedule.kind "constant") (or (not (kindIs "invalid" $schedule.final)) (not (kindIs "invalid" $schedule.steps))) -}}
{{- $said = append $said (printf "run.%s: a constant schedule has neither final nor steps; set kind to linear or exponential, or both to null" $key) -}}
{{- else if and (ne $schedule.kind "constant") (or (kindIs "invalid" $schedule.final) (kindIs "invalid" $schedule.steps)) -}}
{{- $said = append $said (printf "run.%s: a %s schedule needs final and steps" $key $schedule.kind) -}}
{{- end -}}
{{- end -}}
{{- with include "adql.refusedSizes" (dict "settings" $settings "capacity" $known.capacity) }}{{ $said = append $said . }}{{ end -}}
{{- with include "adql.refusedSteps" $settings }}{{ $said = append $said . }}{{ end -}}
{{- if and (eq (get $settings "network.kind") "dense") (get $settings "network.dueling") (not (get $settings "network.hidden")) -}}
{{- $said = append $said "run.network.dueling=true needs at least one layer in run.network.hidden, such as [256]" -}}
{{- end -}}
{{- with include "adql.refusedStacks" $settings }}{{ $said = append $said . }}{{ end -}}
{{- with include "adql.refusedShape" $settings }}{{ $said = append $said . }}{{ end -}}
{{- with $said }}{{ fail (join "; " .) }}{{ end -}}
{{- end }}

{{/* Numbers of which one has to fit into another, the first that does not. */}}
{{- define "adql.refusedSizes" -}}
{{- $settings := .settings -}}
{{- $batch := get $settings "algorithm.batch_size" -}}
{{- $least := get $settings "replay.min_size" -}}
{{- $steps := get $settings "training.environment_steps" -}}
{{- $ratio := get $settings "replay.samples_per_insert" -}}
{{- $capacity := get $settings "replay.capacity" | default (maxf .capacity.least (mulf .capacity.perLearner (get $settings "training.learners"))) -}}
{{- $request := mulf $batch (get $settings "replay.batches_per_request") -}}
{{- $allowed := subf $steps $least | mulf ($ratio | default 0.0) -}}
{{- $chunk := get $settings "replay.chunk_transitions" -}}
{{- $copies := get $settings "environment.copies" -}}
{{- $n := get $settings "algorithm.n_steps" -}}
{{- $largest := mulf $copies $n | addf $chunk -1 -}}
{{- if gt $batch $capacity -}}
run.algorithm.batch_size {{ toJson $batch }} is larger than run.replay.capacity {{ toJson $capacity }}; lower the one or raise the other
{{- else if gt $least $capacity -}}
run.replay.min_size {{ toJson $least }} is larger than run.replay.capacity {{ toJson $capacity }}: nothing would ever be sampled; lower it
{{- else if lt $steps $least -}}
run.training.environment_steps {{ toJson $steps }} ends before run.replay.min_size {{ toJson $least }}: nothing would be learned; raise the budget or lower min_size
{{- else if and $ratio (lt $allowed $request) -}}
run.replay.samples_per_insert {{ toJson $ratio }} allows {{ printf "%.0f" $allowed }} samples in run.training.environment_steps {{ toJson $steps }}, less than one request of run.algorithm.batch_size · run.replay.batches_per_request = {{ toJson $request }}: nothing would be learned; raise the ratio or the budget
{{- else if gt $largest $capacity -}}
run.replay.capacity {{ toJson $capacity }} is below {{ toJson $largest }}, the largest insert (run.replay.chunk_transitions {{ toJson $chunk }} - 1 + run.environment.copies {{ toJson $copies }} · run.algorithm.n_steps {{ toJson $n }}), which would evict its own transitions; raise capacity to {{ toJson $largest }} or lower chunk_transitions
{{- end -}}
{{- end }}

{{/* Learner steps between two pushes. */}}
{{- define "adql.refusedSteps" -}}
{{- if and (eq (get . "update.rule") "gradient") (ne (get . "update.sync_every" | default 1.0) 1.0) -}}
run.update: sync_every must be 1 under the rule gradient; remove it or choose average, elastic or delta
{{- end -}}
{{- end }}

{{/* A network that cannot read what the environment's signature, where it was given, says of observations. */}}
{{- define "adql.refusedShape" -}}
{{- $kind := get . "network.kind" -}}
{{- with get . "environment.signature" -}}
{{- $shape := .observation_shape | default list -}}
{{- $seen := not .observations | ternary (printf "a Box of shape [%s]" (join ", " $shape)) "a Discrete space" -}}
{{- with get (dict "nature" 84 "minatar" 10) $kind -}}
{{- $square := printf "%d, %d" . . -}}
{{- if not (and (eq (len $shape) 3) (or (eq (initial $shape | join ", ") $square) (eq (rest $shape | join ", ") $square))) -}}
run.network.kind={{ $kind }} reads images of shape ({{ $square }}, channels) or (channels, {{ $square }}), not {{ $seen }}; wrap the environment so that it gives them, or choose run.network.kind=dense
{{- end -}}
{{- end -}}
{{- if and (eq $kind "tabular") (not .observations) -}}
run.network.kind=tabular needs Discrete observations, not {{ $seen }}; choose run.network.kind=dense
{{- end -}}
{{- end -}}
{{- end }}

{{/* Stacks of frames, of which the environment's signature has the same number as the environment. */}}
{{- define "adql.refusedStacks" -}}
{{- $stack := get . "environment.frame_stack" -}}
{{- with get . "environment.signature" -}}
{{- $shape := .observation_shape | default list -}}
{{- if and .frame_stack (not (and $shape (eq .frame_stack (first $shape)))) -}}
run.environment.signature: frame_stack {{ toJson .frame_stack }} is not the first axis of observation_shape [{{ join ", " $shape }}]; remove the signature, and it is read from the environment
{{- else if ne (toJson .frame_stack) (toJson $stack) -}}
run.environment: frame_stack {{ toJson $stack }} is not signature.frame_stack {{ toJson .frame_stack }}; remove the signature, and it is read from the environment
{{- end -}}
{{- end -}}
{{- end }}
