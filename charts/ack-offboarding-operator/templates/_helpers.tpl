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

{{/*
What values.schema.json cannot say in words that help: what is missing, and what contradicts something else. Everything that is
wrong is said at once.
*/}}
{{- define "operator.validate" -}}
{{- $wrong := list }}
{{- $v := .Values }}
{{- if not $v.image.repository }}
{{- $wrong = append $wrong "image.repository is required: the repository of the operator's image" }}
{{- end }}
{{- if and $v.metrics.serviceMonitor.enabled (not $v.metrics.service.enabled) }}
{{- $wrong = append $wrong "metrics.serviceMonitor scrapes the metrics Service: set metrics.service.enabled, or use metrics.podMonitor" }}
{{- end }}
{{- if and $v.metrics.serviceMonitor.enabled $v.metrics.podMonitor.enabled }}
{{- $wrong = append $wrong "metrics.serviceMonitor and metrics.podMonitor would both scrape each pod: set one of them" }}
{{- end }}
{{- if splitList "/" $v.image.repository | last | contains ":" }}
{{- $wrong = append $wrong "image.repository holds a tag or a digest: use image.tag or image.digest" }}
{{- end }}
{{- if not $v.cluster.region }}
{{- $wrong = append $wrong "cluster.region is required: the cluster's region, as in cn-hangzhou" }}
{{- end }}
{{- $c := $v.credentials }}
{{- if not $c.source }}
{{- $wrong = append $wrong "credentials.source is required: rrsa, webhook or secret" }}
{{- else }}
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
{{- with $arn }}
{{- $_ := set $accounts (printf "credentials.rrsa.%s" $name) (index (splitList ":" .) 3) }}
{{- end }}
{{- end }}
{{- with $v.cluster.accountId }}
{{- $_ := set $accounts "cluster.accountId" . }}
{{- end }}
{{- if gt (len (uniq (values $accounts))) 1 }}
{{- $said := list }}
{{- range $name, $account := $accounts }}
{{- $said = append $said (printf "%s says %s" $name $account) }}
{{- end }}
{{- $wrong = append $wrong (printf "these must be the same Alibaba Cloud account: %s" (join ", " $said)) }}
{{- end }}
{{- $flags := list "--kubeconfig" "--namespace" "--fence-role-binding" "--fence-cluster-role-binding" }}
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
{{- range $label, $_ := include "operator.selectorLabels" . | fromYaml }}
{{- if hasKey ($v.podLabels | default dict) $label }}
{{- $wrong = append $wrong (printf "podLabels holds %s, by which the Deployment finds its pods: leave it out" $label) }}
{{- end }}
{{- end }}
{{- if and (eq $c.source "webhook") (hasKey ($v.serviceAccount.annotations | default dict) "pod-identity.alibabacloud.com/role-name") }}
{{- $wrong = append $wrong "serviceAccount.annotations holds pod-identity.alibabacloud.com/role-name: use credentials.webhook.roleName alone" }}
{{- end }}
{{- if and $v.approval.always (not $v.approval.requireApproveVerb) }}
{{- $wrong = append $wrong "approval.always needs approval.requireApproveVerb: without it, whoever writes a plan's UserOffboarding approves it" }}
{{- end }}
{{- if $wrong }}
{{- fail (printf "\n\nThese values are not usable:\n  - %s\n" (join "\n  - " $wrong)) }}
{{- end }}
{{- end }}
