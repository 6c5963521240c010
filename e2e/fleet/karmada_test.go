package fleet

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	configv1alpha1 "github.com/karmada-io/karmada/pkg/apis/config/v1alpha1"
	policyv1alpha1 "github.com/karmada-io/karmada/pkg/apis/policy/v1alpha1"
	workv1alpha2 "github.com/karmada-io/karmada/pkg/apis/work/v1alpha2"
	"github.com/karmada-io/karmada/pkg/resourceinterpreter/customized/declarative/luavm"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

type karmada struct {
	rules    configv1alpha1.CustomizationRules
	template *unstructured.Unstructured
	machine  *luavm.VM
}

func newKarmada(t *testing.T) karmada {
	t.Helper()
	customization := documents(t, "karmada/interpreter.yaml", map[string]func() any{
		"config.karmada.io/v1alpha1/ResourceInterpreterCustomization": func() any { return &configv1alpha1.ResourceInterpreterCustomization{} },
	})["ResourceInterpreterCustomization"].(*configv1alpha1.ResourceInterpreterCustomization)
	template := offboarding(t, read(t, "karmada/offboarding.yaml"))
	target := customization.Spec.Target
	if target.APIVersion != template.GetAPIVersion() || target.Kind != template.GetKind() {
		t.Fatalf("it is for %v", target)
	}
	// As on Karmada's API server, which has the CRD.
	template.SetGeneration(1)
	template.SetCreationTimestamp(metav1.Date(2026, 11, 1, 0, 0, 0, 0, metav1.Now().UTC().Location()))
	template.Object["status"] = map[string]any{"observedGeneration": int64(-1), "conditions": []any{}}
	return karmada{customization.Spec.Customizations, template, luavm.New(false, 1)}
}

// reflect is what comes back of an object in a cluster, made from a generation of the template.
func (k karmada) reflect(t *testing.T, object *unstructured.Unstructured, generation int64) *runtime.RawExtension {
	t.Helper()
	object = object.DeepCopy()
	object.SetAnnotations(map[string]string{workv1alpha2.ResourceTemplateGenerationAnnotationKey: fmt.Sprint(generation)})
	status, err := k.machine.ReflectStatus(object, k.rules.StatusReflection.LuaScript)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func (k karmada) healthy(t *testing.T, object *unstructured.Unstructured) bool {
	t.Helper()
	healthy, err := k.machine.InterpretHealth(object, k.rules.HealthInterpretation.LuaScript)
	if err != nil {
		t.Fatal(err)
	}
	return healthy
}

// aggregate is the template on the hub, once these objects of clusters are back; the API server takes it with this status.
func (k karmada) aggregate(t *testing.T, items ...workv1alpha2.AggregatedStatusItem) *unstructured.Unstructured {
	t.Helper()
	result, err := k.machine.AggregateStatus(k.template.DeepCopy(), items, k.rules.StatusAggregation.LuaScript)
	if err != nil {
		t.Fatal(err)
	}
	valid(t, result)
	return result
}

func (k karmada) item(t *testing.T, cluster string, object *unstructured.Unstructured) workv1alpha2.AggregatedStatusItem {
	t.Helper()
	return workv1alpha2.AggregatedStatusItem{ClusterName: cluster, Status: k.reflect(t, object, 1), Applied: true}
}

func (k karmada) summary(t *testing.T, object *unstructured.Unstructured) string {
	t.Helper()
	said := []string{"Unhealthy"}
	if k.healthy(t, object) {
		said[0] = "Healthy"
	}
	hub := k.aggregate(t, k.item(t, "one", object))
	for _, type_ := range []string{"Ready", "Offboarded", "Reconciling", "Stalled"} {
		if condition(t, hub, type_)["status"] == "True" {
			said = append(said, type_)
		}
	}
	return strings.Join(said, ", ")
}

func TestKarmadaShowsEachState(t *testing.T) {
	karmada := newKarmada(t)
	for _, example := range examples(t) {
		stalled := strings.HasSuffix(example.state, "-stalled")
		if healthy := karmada.healthy(t, example.object); healthy == (stalled || example.state == "Unvisited") {
			t.Errorf("%s: healthy is %t", example.name, healthy)
		}
		if karmada.healthy(t, edited(example.object)) {
			t.Errorf("%s, edited, is healthy", example.name)
		}

		var reflected struct {
			Generation, ObservedGeneration, ResourceTemplateGeneration int64
			Conditions                                                 []metav1.Condition
			Plan                                                       struct{ Digest string }
		}
		if err := json.Unmarshal(karmada.reflect(t, example.object, 7).Raw, &reflected); err != nil {
			t.Fatal(err)
		}
		digest, _, _ := unstructured.NestedString(example.object.Object, "status", "plan", "digest")
		if reflected.Plan.Digest != digest || reflected.ResourceTemplateGeneration != 7 || reflected.Generation != example.object.GetGeneration() {
			t.Errorf("%s: what comes back is %+v", example.name, reflected)
		}

		hub := karmada.aggregate(t, karmada.item(t, "one", example.object))
		ready, seen := condition(t, hub, "Ready"), condition(t, example.object, "Ready")
		if example.state == "Unvisited" {
			if ready["reason"] != "Unvisited" || ready["status"] != "False" {
				t.Errorf("%s: the hub says %v", example.name, ready)
			}
			continue
		}
		if len(reflected.Conditions) != 4 {
			t.Errorf("%s: what comes back is %+v", example.name, reflected)
		}
		if ready["reason"] != seen["reason"] || ready["status"] != seen["status"] || ready["lastTransitionTime"] != seen["lastTransitionTime"] {
			t.Errorf("%s: the hub says %v", example.name, ready)
		}
		for _, type_ := range []string{"Offboarded", "Stalled", "Reconciling"} {
			if got, want := condition(t, hub, type_)["status"], condition(t, example.object, type_)["status"]; got != want {
				t.Errorf("%s: %s is %s on the hub, and %s in the cluster", example.name, type_, got, want)
			}
		}
		before, _, _ := unstructured.NestedInt64(example.object.Object, "status", "removed", "total")
		if after, _, _ := unstructured.NestedInt64(hub.Object, "status", "removed", "total"); after != before {
			t.Errorf("%s: %d removed, not %d", example.name, after, before)
		}
	}
}

// The hub is as far as the cluster that is furthest behind, and says which those are.
func TestKarmadaAddsUpTheClusters(t *testing.T) {
	karmada := newKarmada(t)
	states := map[string]*unstructured.Unstructured{}
	for _, example := range examples(t) {
		states[example.name] = example.object
	}
	done, nothing := karmada.item(t, "b-done", states["Offboarded"]), karmada.item(t, "a-nothing", states["NothingToRemove"])
	waits, stalled := karmada.item(t, "c-waits", states["AwaitingApproval"]), karmada.item(t, "d-stalled", states["Forbidden-stalled"])
	refused := workv1alpha2.AggregatedStatusItem{ClusterName: "e-refused", AppliedMessage: "no matches for kind"}
	old := workv1alpha2.AggregatedStatusItem{ClusterName: "f-old", Status: karmada.reflect(t, states["Offboarded"], 0), Applied: true}

	for _, test := range []struct {
		name   string
		items  []workv1alpha2.AggregatedStatusItem
		true   string
		reason string
		says   string
	}{
		{"all done", []workv1alpha2.AggregatedStatusItem{done, nothing}, "Ready, Offboarded", "Offboarded", "2 of 2 clusters are done."},
		{"one waits", []workv1alpha2.AggregatedStatusItem{waits, done}, "Reconciling", "AwaitingApproval", "1 of 2 clusters are done. c-waits: AwaitingApproval."},
		{"one is stalled", []workv1alpha2.AggregatedStatusItem{stalled, waits, done}, "Stalled", "Forbidden", "1 of 3 clusters are done. c-waits: AwaitingApproval, d-stalled: Forbidden."},
		{"one was refused", []workv1alpha2.AggregatedStatusItem{done, refused}, "Reconciling", "NotApplied", "1 of 2 clusters are done. e-refused: NotApplied."},
		{"one has the last version", []workv1alpha2.AggregatedStatusItem{done, old}, "Reconciling", "Outdated", "1 of 2 clusters are done. f-old: Outdated."},
	} {
		hub := karmada.aggregate(t, test.items...)
		var holds []string
		for _, type_ := range []string{"Ready", "Offboarded", "Reconciling", "Stalled"} {
			if condition(t, hub, type_)["status"] == "True" {
				holds = append(holds, type_)
			}
		}
		ready := condition(t, hub, "Ready")
		if strings.Join(holds, ", ") != test.true || ready["reason"] != test.reason || ready["message"] != test.says {
			t.Errorf("%s: %v, %v", test.name, holds, ready)
		}
		// In whatever order they come: else the hub would be written again and again.
		slices.Reverse(test.items)
		if again := karmada.aggregate(t, test.items...); !equal(again.Object, hub.Object) {
			t.Errorf("%s: it depends on the order", test.name)
		}
	}
	if hub := karmada.aggregate(t); condition(t, hub, "Ready") != nil {
		t.Errorf("before any cluster has it: %v", hub.Object["status"])
	}
	var many []workv1alpha2.AggregatedStatusItem
	for i := range 100 {
		waits.ClusterName = fmt.Sprintf("c%03d", i)
		many = append(many, waits)
	}
	if message := condition(t, karmada.aggregate(t, many...), "Ready")["message"].(string); !strings.HasSuffix(message, "c019: AwaitingApproval, and 80 more.") {
		t.Errorf("of a hundred clusters it says %s", message)
	}
}

// What people decide in a cluster stays when the hub writes the object again.
func TestKarmadaKeepsApprovals(t *testing.T) {
	karmada := newKarmada(t)
	a, b := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	approve := func(object *unstructured.Unstructured, digest string) {
		approval := []any{map[string]any{"digest": digest, "reason": "CHG-1"}}
		if err := unstructured.SetNestedSlice(object.Object, approval, "spec", "approvals"); err != nil {
			t.Fatal(err)
		}
	}
	retain := func(desired, observed *unstructured.Unstructured) *unstructured.Unstructured {
		t.Helper()
		if karmada.rules.Retention == nil {
			// Karmada then writes what it desires.
			return desired
		}
		result, err := karmada.machine.Retain(desired.DeepCopy(), observed, karmada.rules.Retention.LuaScript)
		if err != nil {
			t.Fatal(err)
		}
		valid(t, result)
		return result
	}
	observed := karmada.template.DeepCopy()
	approve(observed, a)
	kept := retain(karmada.template, observed)
	if !equal(kept.Object["spec"], observed.Object["spec"]) {
		t.Errorf("the hub writes %v", kept.Object["spec"])
	}

	// Approved on the hub as well: both.
	desired := karmada.template.DeepCopy()
	approve(desired, b)
	if got := digests(t, retain(desired, observed)); !slices.Equal(got, []string{a, b}) {
		t.Errorf("the hub writes the approvals %v", got)
	}
	approve(desired, a)
	if got := digests(t, retain(desired, observed)); !slices.Equal(got, []string{a}) {
		t.Errorf("the hub writes the approvals %v", got)
	}
	// Approved on the hub only, and nowhere.
	if got := digests(t, retain(desired, karmada.template)); !slices.Equal(got, []string{a}) {
		t.Errorf("the hub writes the approvals %v", got)
	}
	if got := retain(karmada.template, karmada.template); !equal(got.Object["spec"], karmada.template.Object["spec"]) {
		t.Errorf("without approvals, the hub writes %v", got.Object["spec"])
	}

	// Stopped in the cluster, where a person also said whose the names are; the template has the default that the CRD sets.
	if err := unstructured.SetNestedField(desired.Object, false, "spec", "suspend"); err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedField(observed.Object, true, "spec", "suspend"); err != nil {
		t.Fatal(err)
	}
	names := map[string]any{"ignore": []any{"259083957089437690-a"}}
	if err := unstructured.SetNestedMap(observed.Object, names, "spec", "names"); err != nil {
		t.Fatal(err)
	}
	spec := retain(desired, observed).Object["spec"].(map[string]any)
	if spec["suspend"] != true || !equal(spec["names"], names) {
		t.Errorf("the hub writes %v", spec)
	}
	// Everything else is the hub's.
	if err := unstructured.SetNestedField(observed.Object, "someone-else", "spec", "expectedName"); err != nil {
		t.Fatal(err)
	}
	if name := retain(desired, observed).Object["spec"].(map[string]any)["expectedName"]; name != "leaver" {
		t.Errorf("the hub writes the name %v", name)
	}
}

// Karmada's policy, and ACK One's: the same type, under another group, as far as its documentation shows.
func TestKarmadaKeepsTheObject(t *testing.T) {
	template := newKarmada(t).template
	if template.GetLabels()[workv1alpha2.DeletionProtectionLabelKey] != workv1alpha2.DeletionProtectionAlways {
		t.Error("the template can be deleted")
	}
	for file, version := range map[string]string{
		"karmada/policy.yaml": policyv1alpha1.GroupVersion.String(),
		"ack-one/policy.yaml": "policy.one.alibabacloud.com/v1alpha1",
	} {
		policy := documents(t, file, map[string]func() any{
			version + "/ClusterPropagationPolicy": func() any { return &policyv1alpha1.ClusterPropagationPolicy{} },
		})["ClusterPropagationPolicy"].(*policyv1alpha1.ClusterPropagationPolicy)
		keeps := policy.Spec.PreserveResourcesOnDeletion
		if keeps == nil || !*keeps {
			t.Errorf("%s: the UserOffboardings go with the template", file)
		}
		if policy.Spec.ConflictResolution != policyv1alpha1.ConflictAbort || policy.Spec.Failover != nil {
			t.Errorf("%s: it overwrites, or moves, what it finds", file)
		}
		selector := policy.Spec.ResourceSelectors[0]
		matches, err := metav1.LabelSelectorAsSelector(selector.LabelSelector)
		if err != nil {
			t.Fatal(err)
		}
		if selector.APIVersion != template.GetAPIVersion() || selector.Kind != template.GetKind() || !matches.Matches(labels.Set(template.GetLabels())) {
			t.Errorf("%s does not select the template", file)
		}
	}
}
