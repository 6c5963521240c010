package fleet

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v3/applicationset/utils"
	argov1 "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/argo/diff"
	"github.com/argoproj/argo-cd/v3/util/argo/normalizers"
	argolua "github.com/argoproj/argo-cd/v3/util/lua"
	synccommon "github.com/argoproj/gitops-engine/pkg/sync/common"
	syncresource "github.com/argoproj/gitops-engine/pkg/sync/resource"
	jsonpatch "github.com/evanphx/json-patch"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type argo struct {
	set     *argov1.ApplicationSet
	leaver  *unstructured.Unstructured
	machine argolua.VM
}

func newArgo(t *testing.T) argo {
	t.Helper()
	set := documents(t, "argocd/applicationset.yaml", map[string]func() any{
		"argoproj.io/v1alpha1/ApplicationSet": func() any { return &argov1.ApplicationSet{} },
	})["ApplicationSet"].(*argov1.ApplicationSet)
	script, err := os.ReadFile("../../docs/gitops/argocd/health.lua")
	if err != nil {
		t.Fatal(err)
	}
	return argo{
		set:    set,
		leaver: offboarding(t, read(t, "argocd/offboardings/a-leaver.yaml")),
		machine: argolua.VM{ResourceOverrides: map[string]argov1.ResourceOverride{
			"ack-offboarding.io/UserOffboarding": {HealthLua: string(script)},
		}},
	}
}

func (a argo) health(t *testing.T, object *unstructured.Unstructured) (string, string) {
	t.Helper()
	script, libraries, err := a.machine.GetHealthScript(object)
	if err != nil || libraries {
		t.Fatalf("Argo CD does not find the script: %v", err)
	}
	health, err := a.machine.ExecuteHealthLua(object, script)
	if err != nil {
		t.Fatal(err)
	}
	return string(health.Status), health.Message
}

func TestArgoShowsEachState(t *testing.T) {
	argo := newArgo(t)
	for _, example := range examples(t) {
		health, message := argo.health(t, example.object)
		stalled := strings.HasSuffix(example.state, "-stalled")
		if (health == "Degraded") != stalled {
			t.Errorf("%s is %s", example.name, health)
		}
		if reason := strings.TrimSuffix(example.state, "-stalled"); reason != "Unvisited" && !strings.HasPrefix(message, reason+": ") {
			t.Errorf("%s shows %q", example.name, message)
		}
	}
}

// One Application a cluster, made by Argo CD's own renderer of templates.
func TestArgoMakesAnApplicationForEachCluster(t *testing.T) {
	set := newArgo(t).set
	selector := set.Spec.Generators[0].Clusters.Selector
	if len(set.Spec.Generators) != 1 || len(selector.MatchLabels) != 1 {
		t.Fatalf("the generators are %v: without a selector, the hub is a cluster of its own", set.Spec.Generators)
	}
	template := &argov1.Application{Spec: set.Spec.Template.Spec}
	template.Name, template.Finalizers = set.Spec.Template.Name, set.Spec.Template.Finalizers
	for name, server := range map[string]string{"hangzhou": "https://10.0.0.1:6443", "shanghai": "https://10.0.0.2:6443"} {
		render := utils.Render{}
		app, err := render.RenderTemplateParams(template, set.Spec.SyncPolicy, map[string]any{
			"name": name, "nameNormalized": name, "server": server,
		}, set.Spec.GoTemplate, set.Spec.GoTemplateOptions)
		if err != nil {
			t.Fatal(err)
		}
		if app.Name != "offboardings-"+name || app.Spec.Destination.Server != server {
			t.Errorf("%s: %s to %s", name, app.Name, app.Spec.Destination.Server)
		}
		// With this finalizer, the Application takes its objects with it. The renderer adds it where the set does not preserve them.
		if slices.Contains(app.Finalizers, argov1.ResourcesFinalizerName) {
			t.Errorf("%s: the UserOffboardings go with the Application: %v", name, app.Finalizers)
		}
	}
}

// The record of an offboarding stays, whatever is removed on the hub.
func TestArgoKeepsTheObject(t *testing.T) {
	argo := newArgo(t)
	if !argo.set.Spec.SyncPolicy.PreserveResourcesOnDeletion || argo.set.Spec.Template.Spec.SyncPolicy.Automated.Prune {
		t.Error("what is removed from Git, or from the set, is deleted")
	}
	for _, option := range []string{synccommon.SyncOptionDisablePrune, synccommon.SyncOptionDisableDeletion} {
		if !syncresource.HasAnnotationOption(argo.leaver, synccommon.AnnotationSyncOptions, option) {
			t.Errorf("the manifest does not say %s", option)
		}
	}
}

// What a person approved in a cluster is no drift, and a sync keeps it. Without the two settings it is lost.
func TestArgoKeepsApprovals(t *testing.T) {
	argo := newArgo(t)
	app := argo.set.Spec.Template.Spec
	live := argo.leaver.DeepCopy()
	approvals := []any{map[string]any{"digest": "sha256:" + strings.Repeat("a", 64), "reason": "CHG-1"}}
	if err := unstructured.SetNestedSlice(live.Object, approvals, "spec", "approvals"); err != nil {
		t.Fatal(err)
	}
	target := argo.leaver.DeepCopy()
	// On the hub, somebody approves as well: the two differ in more than that one is absent.
	other := []any{map[string]any{"digest": "sha256:" + strings.Repeat("b", 64)}}
	if err := unstructured.SetNestedSlice(target.Object, other, "spec", "approvals"); err != nil {
		t.Fatal(err)
	}
	if drifts(t, live, target, app.IgnoreDifferences) || !drifts(t, live, target, nil) {
		t.Error("an approval counts as drift")
	}
	if !app.SyncPolicy.SyncOptions.HasOption("RespectIgnoreDifferences=true") || !app.SyncPolicy.SyncOptions.HasOption("ServerSideApply=true") {
		t.Fatalf("the sync options are %v", app.SyncPolicy.SyncOptions)
	}
	kept, _, _ := unstructured.NestedSlice(applied(t, live, target, app.IgnoreDifferences).Object, "spec", "approvals")
	if !slices.EqualFunc(kept, approvals, equal) {
		t.Errorf("a sync would apply the approvals %v", kept)
	}
	// Stopped in the cluster: the manifest says nothing about it.
	stopped := live.DeepCopy()
	if err := unstructured.SetNestedField(stopped.Object, true, "spec", "suspend"); err != nil {
		t.Fatal(err)
	}
	_, sent, _ := unstructured.NestedBool(applied(t, stopped, target, app.IgnoreDifferences).Object, "spec", "suspend")
	if sent || drifts(t, stopped, target, app.IgnoreDifferences) {
		t.Error("a suspension counts as drift")
	}
	// Everything else is the hub's.
	changed := live.DeepCopy()
	if err := unstructured.SetNestedField(changed.Object, "someone-else", "spec", "expectedName"); err != nil {
		t.Fatal(err)
	}
	if !drifts(t, changed, target, app.IgnoreDifferences) {
		t.Error("another name is no drift")
	}
}

func equal(a, b any) bool {
	left, _ := json.Marshal(a)
	right, _ := json.Marshal(b)
	return string(left) == string(right)
}

func drifts(t *testing.T, live, target *unstructured.Unstructured, ignored argov1.IgnoreDifferences) bool {
	t.Helper()
	result, err := diff.StateDiff(live, target, diffConfig(t, ignored))
	if err != nil {
		t.Fatal(err)
	}
	return result.Modified
}

func diffConfig(t *testing.T, ignored argov1.IgnoreDifferences) diff.DiffConfig {
	t.Helper()
	config, err := diff.NewDiffConfigBuilder().
		WithDiffSettings(ignored, nil, false, normalizers.IgnoreNormalizerOpts{}).
		WithTracking("", "").WithNoCache().Build()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// applied is what a sync with RespectIgnoreDifferences sends. Argo CD's normalizeTargetResources is not exported: for a kind without a Go
// type it does the following, with the same two libraries.
func applied(t *testing.T, live, target *unstructured.Unstructured, ignored argov1.IgnoreDifferences) *unstructured.Unstructured {
	t.Helper()
	normalized, err := diff.Normalize([]*unstructured.Unstructured{live}, []*unstructured.Unstructured{target}, diffConfig(t, ignored))
	if err != nil {
		t.Fatal(err)
	}
	bytes := func(object *unstructured.Unstructured) []byte {
		text, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	patch, err := jsonpatch.CreateMergePatch(bytes(normalized.Lives[0]), bytes(live))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jsonpatch.MergePatch(bytes(normalized.Targets[0]), patch)
	if err != nil {
		t.Fatal(err)
	}
	result := &unstructured.Unstructured{}
	if err := result.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	return result
}
