// What GitOps tools make of a UserOffboarding in each of its states: Flux, Helm and kpt by kstatus, Argo CD by the health script in docs/.
// The states are objects that the operator's own tests recorded.
package gitops

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

const healthScript = "../../docs/gitops/argocd/health.lua"

// expected is what each state is for the two: done, going on (for days, perhaps), or stuck until a person does something.
var expected = map[string]struct {
	kstatus status.Status
	argo    string
}{
	"Unvisited": {status.InProgressStatus, "Progressing"},

	"Offboarded":      {status.CurrentStatus, "Healthy"},
	"NothingToRemove": {status.CurrentStatus, "Healthy"},
	"DryRunComplete":  {status.CurrentStatus, "Healthy"},

	"InProgress":      {status.InProgressStatus, "Progressing"},
	"Queued":          {status.InProgressStatus, "Progressing"},
	"RunLimitReached": {status.InProgressStatus, "Progressing"},
	"Conflict":        {status.InProgressStatus, "Progressing"},
	"Terminating":     {status.InProgressStatus, "Progressing"},
	"LookupFailed":    {status.InProgressStatus, "Progressing"},
	"NotConfirmed":    {status.InProgressStatus, "Progressing"},
	"RefusedByAck":    {status.InProgressStatus, "Progressing"},
	"WriteFailed":     {status.InProgressStatus, "Progressing"},

	"WaitingForInactivity": {status.InProgressStatus, "Suspended"},
	"AwaitingApproval":     {status.InProgressStatus, "Suspended"},
	"Suspended":            {status.InProgressStatus, "Suspended"},

	"AccessReturned-stalled":      {status.FailedStatus, "Degraded"},
	"AmbiguousIdentity-stalled":   {status.FailedStatus, "Degraded"},
	"CredentialsRejected-stalled": {status.FailedStatus, "Degraded"},
	"QuotaExceeded-stalled":       {status.FailedStatus, "Degraded"},
	"BackupRefused-stalled":       {status.FailedStatus, "Degraded"},
	"BindingTooLarge-stalled":     {status.FailedStatus, "Degraded"},
	"ChangedByWebhook-stalled":    {status.FailedStatus, "Degraded"},
	"BindingUnreadable-stalled":   {status.FailedStatus, "Degraded"},
	"KeepsChanging-stalled":       {status.FailedStatus, "Degraded"},
	"PolicyLimitExceeded-stalled": {status.FailedStatus, "Degraded"},
	"PoliciesNotInForce-stalled":  {status.FailedStatus, "Degraded"},
	"BudgetSpent-stalled":         {status.FailedStatus, "Degraded"},
	"ClusterNotFound-stalled":     {status.FailedStatus, "Degraded"},
	"Forbidden-stalled":           {status.FailedStatus, "Degraded"},
	"NameMismatch-stalled":        {status.FailedStatus, "Degraded"},
	"ProtectedIdentity-stalled":   {status.FailedStatus, "Degraded"},
	"RestoredByManager-stalled":   {status.FailedStatus, "Degraded"},
	"SharedBindingsKept-stalled":  {status.FailedStatus, "Degraded"},
	"TypeMismatch-stalled":        {status.FailedStatus, "Degraded"},
	"UndecidedNames-stalled":      {status.FailedStatus, "Degraded"},
	"VerifyFailed-stalled":        {status.FailedStatus, "Degraded"},
	"WrongAccount-stalled":        {status.FailedStatus, "Degraded"},
}

func TestEachState(t *testing.T) {
	files, err := filepath.Glob("states/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no states: %v", err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		// Further examples of a state are named STATE.CONDITION-REASON.
		state, _, _ := strings.Cut(name, ".")
		seen[state] = true
		want, known := expected[state]
		if !known {
			t.Errorf("%s is a new state: say what it is for GitOps tools", name)
			continue
		}
		object := read(t, file)
		if got := kstatus(t, object); got != want.kstatus {
			t.Errorf("%s: kstatus says %s, expected %s", name, got, want.kstatus)
		}
		health, message := argo(t, object)
		if health != want.argo {
			t.Errorf("%s: Argo CD says %s, expected %s", name, health, want.argo)
		}
		// The state and why: what a person sees in Argo CD's user interface.
		reason := strings.TrimSuffix(state, "-stalled")
		if name != "Unvisited" && !strings.HasPrefix(message, reason+": ") {
			t.Errorf("%s: Argo CD shows %q", name, message)
		}

		// Edited, and not looked at since: whatever it was, it is not done.
		object.SetGeneration(object.GetGeneration() + 1)
		if got := kstatus(t, object); got != status.InProgressStatus {
			t.Errorf("%s, edited: kstatus says %s", name, got)
		}
		if health, _ := argo(t, object); health != "Progressing" {
			t.Errorf("%s, edited: Argo CD says %s", name, health)
		}
	}
	for name := range expected {
		if !seen[name] {
			t.Errorf("there is no example of %s", name)
		}
	}
}

// The API server has not given it its default status yet, or it is from a cluster without the CRD's current version.
func TestWithoutStatus(t *testing.T) {
	object := read(t, "states/Unvisited.json")
	unstructured.RemoveNestedField(object.Object, "status")
	if health, _ := argo(t, object); health != "Progressing" {
		t.Errorf("without a status, Argo CD says %s", health)
	}
}

// The manifests that the documentation gives are Flux's: no field is misspelt.
func TestFluxManifests(t *testing.T) {
	types := map[string]func() any{
		"Namespace":     func() any { return &corev1.Namespace{} },
		"Kustomization": func() any { return &kustomizev1.Kustomization{} },
		"GitRepository": func() any { return &sourcev1.GitRepository{} },
		"HelmRelease":   func() any { return &helmv2.HelmRelease{} },
	}
	versions := map[string]string{
		"Namespace":     "v1",
		"Kustomization": kustomizev1.GroupVersion.String(),
		"GitRepository": sourcev1.GroupVersion.String(),
		"HelmRelease":   helmv2.GroupVersion.String(),
	}
	seen := map[string]int{}
	for _, file := range []string{"kustomizations.yaml", "operator/release.yaml"} {
		text, err := os.ReadFile(filepath.Join("../../docs/gitops/flux", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range strings.Split(string(text), "\n---\n") {
			var head struct{ APIVersion, Kind string }
			if err := yaml.Unmarshal([]byte(document), &head); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			make, known := types[head.Kind]
			if !known || versions[head.Kind] != head.APIVersion {
				t.Errorf("%s: Flux does not know %s %s", file, head.APIVersion, head.Kind)
				continue
			}
			if err := yaml.UnmarshalStrict([]byte(document), make()); err != nil {
				t.Errorf("%s, %s: %v", file, head.Kind, err)
			}
			seen[head.Kind]++
		}
	}
	if seen["Kustomization"] != 2 || seen["GitRepository"] != 1 || seen["HelmRelease"] != 1 {
		t.Errorf("the documentation gives %v", seen)
	}
}

func read(t *testing.T, file string) *unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(text); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return object
}

func kstatus(t *testing.T, object *unstructured.Unstructured) status.Status {
	t.Helper()
	result, err := status.Compute(object)
	if err != nil {
		t.Fatal(err)
	}
	return result.Status
}

// argo runs the health script with the interpreter and the libraries that Argo CD runs it with (`util/lua`): package, base and table.
func argo(t *testing.T, object *unstructured.Unstructured) (string, string) {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage,
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
	} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	text, err := json.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	state.SetGlobal("obj", value(state, plain))
	if err := state.DoFile(healthScript); err != nil {
		t.Fatal(err)
	}
	answer, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("the script returned no table: %v", state.Get(-1))
	}
	return answer.RawGetString("status").String(), answer.RawGetString("message").String()
}

func value(state *lua.LState, plain any) lua.LValue {
	switch plain := plain.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, element := range plain {
			table.RawSetString(key, value(state, element))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, element := range plain {
			table.Append(value(state, element))
		}
		return table
	case string:
		return lua.LString(plain)
	case float64:
		return lua.LNumber(plain)
	case bool:
		return lua.LBool(plain)
	default:
		return lua.LNil
	}
}
