{{/* The operator's name. It is fixed, and so are the names of what is cluster-wide: one release a cluster. */}}
{{- define "operator.name" -}}
ack-offboarding-operator
{{- end }}

{{- define "operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Labels of everything but pods: these change with each version. */}}
{{- define "operator.labels" -}}
{{ include "operator.selectorLabels" . }}
{{ include "operator.commonLabels" . }}
{{- end }}

{{- define "operator.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end }}

{{/* The flags of every verb. */}}
{{- define "operator.args" -}}
- --log-format={{ .Values.log.format }}
- --listen=0.0.0.0:8080
- --leader-elect=true
- --lease-name={{ include "operator.name" . }}
- --region={{ .Values.cluster.region }}
- --network={{ .Values.cluster.network }}
{{- with .Values.cluster.id }}
- --cluster-id={{ . }}
{{- end }}
{{- with .Values.cluster.accountId }}
- --account-id={{ . }}
{{- end }}
- --credentials={{ eq .Values.credentials.source "secret" | ternary "env" "rrsa" }}
{{- range $service := list "sts" "ims" "ram" "cs" "sls" }}
{{- with index $.Values.endpoints $service }}
- --{{ $service }}-endpoint={{ . }}
{{- end }}
{{- end }}
{{- with .Values.operator }}
{{- with .protectedUids }}
- --protected-uids={{ join "," . }}
{{- end }}
- --recheck-interval={{ .recheckInterval }}
- --poll-interval={{ .pollInterval }}
- --backoff={{ .backoff }}
- --cloud-timeout={{ .cloudTimeout }}
- --concurrency={{ .concurrency }}
- --new-runs-per-hour={{ .newRunsPerHour }}
{{- end }}
- --remove-subjects={{ .Values.rbac.removeSubjects }}
- --require-approval-policy={{ .Values.approval.requireApproveVerb }}
{{- end }}

{{- define "operator.env" -}}
- name: ACK_OFFBOARDING_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- with .Values.log.level }}
- name: RUST_LOG
  value: {{ . | quote }}
{{- end }}
{{- with .Values.credentials }}
{{- if eq .source "rrsa" }}
- name: ALIBABA_CLOUD_ROLE_ARN
  value: {{ .rrsa.roleArn | quote }}
- name: ALIBABA_CLOUD_OIDC_PROVIDER_ARN
  value: {{ .rrsa.oidcProviderArn | quote }}
- name: ALIBABA_CLOUD_OIDC_TOKEN_FILE
  value: /var/run/secrets/rrsa/token
{{- else if eq .source "secret" }}
- name: ALIBABA_CLOUD_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ .secret.name }}, key: {{ .secret.accessKeyIdKey }}}}
- name: ALIBABA_CLOUD_ACCESS_KEY_SECRET
  valueFrom: {secretKeyRef: {name: {{ .secret.name }}, key: {{ .secret.accessKeySecretKey }}}}
- name: ALIBABA_CLOUD_SECURITY_TOKEN
  valueFrom: {secretKeyRef: {name: {{ .secret.name }}, key: {{ .secret.securityTokenKey }}, optional: true}}
{{- end }}
{{- end }}
{{- end }}

{{/* The operator's container, as far as it is the same for each verb. Takes a dict: root, verb. */}}
{{- define "operator.container" -}}
{{- $v := .root.Values -}}
name: operator
image: {{ include "operator.image" .root | quote }}
imagePullPolicy: {{ $v.image.pullPolicy }}
args:
  - {{ .verb }}
  {{- range concat (include "operator.args" .root | fromYamlArray) $v.operator.extraArgs }}
  - {{ . | quote }}
  {{- end }}
env:
  {{- include "operator.env" .root | nindent 2 }}
  {{- with $v.operator.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources: {{- toYaml $v.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- $rrsa := eq $v.credentials.source "rrsa" }}
{{- if or $rrsa $v.operator.extraVolumeMounts }}
volumeMounts:
  {{- if $rrsa }}
  - {name: rrsa-token, mountPath: /var/run/secrets/rrsa, readOnly: true}
  {{- end }}
  {{- with $v.operator.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* What a pod of the operator needs around its container, for each verb. */}}
{{- define "operator.pod" -}}
{{- $v := .Values -}}
serviceAccountName: {{ include "operator.name" . }}
automountServiceAccountToken: true
{{- with $v.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  # Lets the process read the projected tokens.
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- $rrsa := eq $v.credentials.source "rrsa" }}
{{- if or $rrsa $v.operator.extraVolumes }}
volumes:
  {{- if $rrsa }}
  - name: rrsa-token
    projected:
      sources:
        - serviceAccountToken: {audience: sts.aliyuncs.com, expirationSeconds: 3600, path: token}
  {{- end }}
  {{- with $v.operator.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- with $v.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The spec of the default PermissionScan. */}}
{{- define "operator.scanSpec" -}}
interval: {{ .Values.scan.interval | quote }}
include: {{ .Values.scan.include | quote }}
dormantDays: {{ int .Values.scan.dormantDays }}
onFinding: {{ .Values.scan.propose | ternary "Propose" "Report" }}
maxProposals: {{ int .Values.scan.maxProposals }}
{{- end }}

{{/*
What values.schema.json cannot say in words that help: what is missing, what has the wrong form, and what contradicts something else.
The schema comes first and stops there, so it checks only types and misspelt names. Everything that is wrong is said at once.
*/}}
{{- define "operator.validate" -}}
{{- $wrong := list }}
{{- $v := .Values }}
{{- $c := $v.credentials }}
{{- /* What stands in capitals in the documentation's commands, and what takes its place. */}}
{{- $placeholders := dict
  "REGISTRY" "your registry's host and namespace, as in registry.example.com/platform"
  "ACCOUNT_ID" "the ID of your Alibaba Cloud account, as in 1234567890123456"
  "CLUSTER_ID" "the ID of the ACK cluster"
  "ROLE_NAME" "the name of the operator's RAM role"
  "REGION" "the cluster's region, as in cn-hangzhou"
}}
{{- $name := "^([a-z0-9]([-.a-z0-9]*[a-z0-9])?)?$" }}
{{- $url := "^(https?://\\S+)?$" }}
{{- $time := "^([1-9][0-9]*d|([0-9]+(ms|s|m|h))+)$" }}
{{- /* Each value that is text: what it is, its form, and the form in words. */}}
{{- $texts := dict
  "image.repository" (list $v.image.repository "^([a-z0-9][a-z0-9.:_/-]*[a-z0-9])?$" "a repository without a tag, in lower case, as in registry.example.com/platform/ack-offboarding-operator")
  "image.tag" (list $v.image.tag "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$" "a tag, as in 0.1.0")
  "image.digest" (list $v.image.digest "^(sha256:[0-9a-f]{64})?$" "sha256: and 64 hexadecimal digits")
  "cluster.region" (list $v.cluster.region "^([a-z]+(-[a-z0-9]+)+)?$" "a region ID, as in cn-hangzhou")
  "cluster.id" (list $v.cluster.id "^[a-z0-9]*$" "the ID of the ACK cluster: letters and digits, no name")
  "cluster.accountId" (list $v.cluster.accountId "^([1-9][0-9]{0,19})?$" "the account's ID: digits alone, as in 1234567890123456")
  "cluster.network" (list $v.cluster.network "^(vpc|public)$" "vpc or public")
  "credentials.source" (list $c.source "^(rrsa|webhook|secret)?$" "rrsa, webhook or secret")
  "credentials.rrsa.roleArn" (list $c.rrsa.roleArn "^(acs:ram::[0-9]+:role/\\S+)?$" "the ARN of a RAM role, as in acs:ram::1234567890123456:role/ack-offboarding-operator")
  "credentials.rrsa.oidcProviderArn" (list $c.rrsa.oidcProviderArn "^(acs:ram::[0-9]+:oidc-provider/\\S+)?$" "the ARN of the cluster's OIDC provider, as in acs:ram::1234567890123456:oidc-provider/ack-rrsa-c0123456789abcdef0123456789abcdef")
  "credentials.webhook.roleName" (list $c.webhook.roleName "^[A-Za-z0-9.-]*$" "the name of a RAM role, not its ARN")
  "credentials.secret.name" (list $c.secret.name $name "the name of a Secret in the release's namespace")
  "operator.recheckInterval" (list $v.operator.recheckInterval $time "a time with its unit, as in 30m or 1h")
  "operator.pollInterval" (list $v.operator.pollInterval $time "a time with its unit, as in 12h or 1d")
  "operator.backoff" (list $v.operator.backoff $time "a time with its unit, as in 5m")
  "operator.cloudTimeout" (list $v.operator.cloudTimeout $time "a time with its unit, as in 15s")
}}
{{- range $service, $endpoint := $v.endpoints }}
{{- $_ := set $texts (printf "endpoints.%s" $service) (list $endpoint $url "a URL, as in https://HOST") }}
{{- end }}
{{- range $path, $text := $texts }}
{{- $value := index $text 0 | default "" }}
{{- if and (not (typeIs "string" $value)) (eq (index $text 1) $time) }}
{{- $wrong = append $wrong (printf "%s is %v: expected %s" $path $value (index $text 2)) }}
{{- else if not (typeIs "string" $value) }}
{{- $shown := kindIs "int64" $value | ternary (printf "%v" $value) "..." }}
{{- $wrong = append $wrong (printf "%s is a number, and must be a string: use --set-string %s=%s, or put it in quotes in a values file" $path $path $shown) }}
{{- else }}
{{- $found := list }}
{{- range $placeholder, $by := $placeholders }}
{{- if contains $placeholder $value }}
{{- $found = append $found (printf "replace %s in %s with %s" $placeholder $path $by) }}
{{- end }}
{{- end }}
{{- if $found }}
{{- $wrong = concat $wrong $found }}
{{- else if and (eq $path "image.repository") (or (contains "@" $value) (splitList "/" $value | last | contains ":")) }}
{{- $wrong = append $wrong "image.repository holds a tag or a digest: use image.tag or image.digest" }}
{{- else if not (regexMatch (index $text 1) $value) }}
{{- $wrong = append $wrong (printf "%s is %q: expected %s" $path $value (index $text 2)) }}
{{- else if and (eq $path "cluster.region") (regexMatch "(-|[0-9])[a-z]$" $value) }}
{{- $region := regexReplaceAll "-?[a-z]$" $value "" }}
{{- $wrong = append $wrong (printf "cluster.region is %s, which is a zone: use its region, %s" $value $region) }}
{{- end }}
{{- end }}
{{- end }}
{{- /* In whole words: a number here has lost digits already if it came from a file. */}}
{{- $uids := $v.operator.protectedUids | default list }}
{{- $isList := kindIs "slice" $uids }}
{{- $shown := list }}
{{- $strings := $isList }}
{{- range $isList | ternary $uids (list $uids) }}
{{- if typeIs "string" . }}
{{- $shown = append $shown . }}
{{- else }}
{{- $strings = false }}
{{- $shown = append $shown (kindIs "int64" . | ternary (printf "%v" .) "UID") }}
{{- end }}
{{- end }}
{{- if not $strings }}
{{- $wrong = append $wrong (printf "operator.protectedUids must be a list of strings: on the command line, use --set-string 'operator.protectedUids={%s}'; in a values file, put each UID in quotes" (join "," $shown)) }}
{{- else }}
{{- range $shown }}
{{- if not (regexMatch "^[1-9][0-9]{0,19}$" .) }}
{{- $wrong = append $wrong (printf "operator.protectedUids holds %q, which is no UID: a UID is digits alone, as in 201000000000000001. docs/finding-a-uid.md says how to find it" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- $formed := not $wrong }}
{{- if not $v.image.repository }}
{{- $wrong = append $wrong "image.repository is required: no image is published yet, so build one, push it to your registry, and name it (docs/install.md has the commands)" }}
{{- end }}
{{- if lt (int $v.replicas) 1 }}
{{- $wrong = append $wrong (printf "replicas is 0, and must be 1 or more. To stop the operator, run: kubectl -n %s scale deployment ack-offboarding-operator --replicas=0. To stop one offboarding, set suspend: true in its UserOffboarding" .Release.Namespace) }}
{{- end }}
{{- if or (lt (int $v.operator.newRunsPerHour) 1) (gt (int $v.operator.newRunsPerHour) 1000) }}
{{- $wrong = append $wrong (printf "operator.newRunsPerHour is %d: expected 1 to 1000; to stop all offboardings, see docs/operations.md" (int $v.operator.newRunsPerHour)) }}
{{- end }}
{{- if or (lt (int $v.operator.concurrency) 1) (gt (int $v.operator.concurrency) 64) }}
{{- $wrong = append $wrong (printf "operator.concurrency is %d: expected 1 to 64" (int $v.operator.concurrency)) }}
{{- end }}
{{- if or (lt (int $v.approval.minWindowDays) 1) (gt (int $v.approval.minWindowDays) 180) }}
{{- $wrong = append $wrong (printf "approval.minWindowDays is %d: expected 1 to 180" (int $v.approval.minWindowDays)) }}
{{- end }}
{{- if and $v.metrics.serviceMonitor.enabled (not $v.metrics.service.enabled) }}
{{- $wrong = append $wrong "metrics.serviceMonitor scrapes the metrics Service: set metrics.service.enabled, or use metrics.podMonitor" }}
{{- end }}
{{- if and $v.metrics.serviceMonitor.enabled $v.metrics.podMonitor.enabled }}
{{- $wrong = append $wrong "metrics.serviceMonitor and metrics.podMonitor would both scrape each pod: set one of them" }}
{{- end }}
{{- if not $v.cluster.region }}
{{- $wrong = append $wrong "cluster.region is required: the cluster's region, as in cn-hangzhou" }}
{{- end }}
{{- if not $c.source }}
{{- $wrong = append $wrong "credentials.source is required: rrsa, webhook or secret" }}
{{- else if has $c.source (list "rrsa" "webhook" "secret") }}
{{- $fields := dict "rrsa" (list "roleArn" "oidcProviderArn") "webhook" (list "roleName") "secret" (list "name") }}
{{- range $source := list "rrsa" "webhook" "secret" }}
{{- range $field := index $fields $source }}
{{- $set := index $c $source $field }}
{{- if and (eq $source $c.source) (not $set) }}
{{- $wrong = append $wrong (printf "credentials.%s.%s is required when credentials.source is %s" $source $field $source) }}
{{- else if and (ne $source $c.source) $set }}
{{- $wrong = append $wrong (printf "credentials.%s.%s is set, but credentials.source is %s: unset one of the two" $source $field $c.source) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- /* The credentials must be of the account that the cluster belongs to: the operator would refuse to work. */}}
{{- $accounts := dict }}
{{- range $name, $arn := $c.rrsa }}
{{- if regexMatch "^acs:ram::[0-9]+:" $arn }}
{{- $_ := set $accounts (printf "credentials.rrsa.%s" $name) (index (splitList ":" $arn) 3) }}
{{- end }}
{{- end }}
{{- if and $v.cluster.accountId (typeIs "string" $v.cluster.accountId) }}
{{- $_ := set $accounts "cluster.accountId" $v.cluster.accountId }}
{{- end }}
{{- if gt (len (uniq (values $accounts))) 1 }}
{{- $said := list }}
{{- range $name, $account := $accounts }}
{{- $said = append $said (printf "%s says %s" $name $account) }}
{{- end }}
{{- $wrong = append $wrong (printf "these must be the same Alibaba Cloud account: %s" (join ", " $said)) }}
{{- end }}
{{- /* These are read from what is rendered, which is YAML only if the texts above have their form. */}}
{{- if $formed }}
{{- $flags := list "--kubeconfig" "--namespace" "--barrier-role-binding" "--barrier-cluster-role-binding" }}
{{- range list "sts" "ims" "ram" "cs" "sls" }}
{{- $flags = append $flags (printf "--%s-endpoint" .) }}
{{- end }}
{{- $flags = concat $flags (list "--cluster-id" "--account-id" "--protected-uids") }}
{{- range include "operator.args" . | fromYamlArray }}
{{- $flags = append $flags (splitList "=" . | first) }}
{{- end }}
{{- range $v.operator.extraArgs }}
{{- if has (splitList "=" . | first) $flags }}
{{- $wrong = append $wrong (printf "operator.extraArgs holds %s, which the chart sets itself: use the value that is for it" .) }}
{{- end }}
{{- end }}
{{- $names := list }}
{{- range include "operator.env" . | fromYamlArray }}
{{- $names = append $names .name }}
{{- end }}
{{- range $v.operator.extraEnv }}
{{- if or (has .name $names) (hasPrefix "ALIBABA_CLOUD_ACCESS_KEY" .name) (hasPrefix "ACK_OFFBOARDING_" .name) }}
{{- $wrong = append $wrong (printf "operator.extraEnv holds %s, which the chart decides: use the value that is for it" .name) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $label, $_ := include "operator.selectorLabels" . | fromYaml }}
{{- if hasKey ($v.podLabels | default dict) $label }}
{{- $wrong = append $wrong (printf "podLabels holds %s, by which the Deployment finds its pods: leave it out" $label) }}
{{- end }}
{{- end }}
{{- if and (eq $c.source "webhook") (hasKey ($v.serviceAccount.annotations | default dict) "pod-identity.alibabacloud.com/role-name") }}
{{- $wrong = append $wrong "serviceAccount.annotations holds pod-identity.alibabacloud.com/role-name: use credentials.webhook.roleName alone" }}
{{- end }}
{{- $scan := $v.scan }}
{{- if not (regexMatch "^([0-9]{1,4}h)?([0-9]{1,4}m)?([0-9]{1,4}s)?$" (toString $scan.interval)) }}
{{- $wrong = append $wrong (printf "scan.interval is %v: expected hours, minutes and seconds, as in 24h or 1h30m; at least 5m" $scan.interval) }}
{{- end }}
{{- if not (has $scan.include (list "Deleted" "Dormant" "All")) }}
{{- $wrong = append $wrong (printf "scan.include is %q: expected Deleted, Dormant or All" $scan.include) }}
{{- end }}
{{- if or (lt (int $scan.dormantDays) 1) (gt (int $scan.dormantDays) 365) }}
{{- $wrong = append $wrong (printf "scan.dormantDays is %d: expected 1 to 365" (int $scan.dormantDays)) }}
{{- end }}
{{- if or (lt (int $scan.maxProposals) 1) (gt (int $scan.maxProposals) 100) }}
{{- $wrong = append $wrong (printf "scan.maxProposals is %d: expected 1 to 100" (int $scan.maxProposals)) }}
{{- end }}
{{- if and $scan.propose (gt (int $v.approval.minWindowDays) 7) $v.approval.requireApproveVerb }}
{{- $wrong = append $wrong "scan.propose needs approval.minWindowDays of 7 or less: what a scan proposes has a window of 7 days, and the operator may not approve a shorter one than that" }}
{{- end }}
{{- if and $v.approval.always (not $v.approval.requireApproveVerb) }}
{{- $wrong = append $wrong "approval.always needs approval.requireApproveVerb: without it, whoever writes a plan's UserOffboarding approves it" }}
{{- end }}
{{- if $wrong }}
{{- fail (printf "\n\nThese values are not usable:\n  - %s\n" (join "\n  - " $wrong)) }}
{{- end }}
{{- end }}
