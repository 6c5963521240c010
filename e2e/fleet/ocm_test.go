package fleet

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clusterv1beta1 "open-cluster-management.io/api/cluster/v1beta1"
	clusterv1beta2 "open-cluster-management.io/api/cluster/v1beta2"
	"open-cluster-management.io/api/feature"
	workv1 "open-cluster-management.io/api/work/v1"
	workv1alpha1 "open-cluster-management.io/api/work/v1alpha1"
	"open-cluster-management.io/ocm/pkg/features"
	"open-cluster-management.io/ocm/pkg/work/helper"
	"open-cluster-management.io/ocm/pkg/work/spoke/apply"
	"open-cluster-management.io/ocm/pkg/work/spoke/conditions"
	"open-cluster-management.io/ocm/pkg/work/spoke/statusfeedback"
)

// As OCM's agent starts: every feature is there, and as it is by default.
func init() {
	if err := features.SpokeMutableFeatureGate.Add(feature.DefaultSpokeWorkFeatureGates); err != nil {
		panic(err)
	}
}

type ocm struct {
	set        *workv1alpha1.ManifestWorkReplicaSet
	config     workv1.ManifestConfigOption
	leaver     *unstructured.Unstructured
	feedback   *statusfeedback.StatusReader
	conditions *conditions.ConditionReader
}

func newOCM(t *testing.T) ocm {
	t.Helper()
	set := documents(t, "ocm/offboarding.yaml", map[string]func() any{
		"work.open-cluster-management.io/v1alpha1/ManifestWorkReplicaSet": func() any { return &workv1alpha1.ManifestWorkReplicaSet{} },
	})["ManifestWorkReplicaSet"].(*workv1alpha1.ManifestWorkReplicaSet)
	work := set.Spec.ManifestWorkTemplate
	if len(work.Workload.Manifests) != 1 || len(work.ManifestConfigs) != 1 {
		t.Fatalf("%d manifests with %d configurations", len(work.Workload.Manifests), len(work.ManifestConfigs))
	}
	reader, err := conditions.NewConditionReader()
	if err != nil {
		t.Fatal(err)
	}
	return ocm{set, work.ManifestConfigs[0], offboarding(t, work.Workload.Manifests[0].Raw), statusfeedback.NewStatusReader(), reader}
}

// values is what comes back to the hub, by name: as text, with its type.
func (o ocm) values(t *testing.T, object *unstructured.Unstructured) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, rule := range o.config.FeedbackRules {
		read, err := o.feedback.GetValuesByRule(object, rule)
		if err != nil {
			t.Errorf("%s: OCM cannot read all of it: %v", object.GetName(), err)
		}
		for _, value := range read {
			switch value.Value.Type {
			case workv1.String:
				values[value.Name] = *value.Value.String
			case workv1.Integer:
				values[value.Name] = fmt.Sprint(*value.Value.Integer)
			default:
				t.Errorf("%s is of type %s", value.Name, value.Value.Type)
			}
		}
	}
	return values
}

func (o ocm) evaluate(t *testing.T, object *unstructured.Unstructured) map[string]metav1.Condition {
	t.Helper()
	all := map[string]metav1.Condition{}
	for _, condition := range o.conditions.EvaluateConditions(t.Context(), object, o.config.ConditionRules) {
		if condition.Reason != workv1.ConditionRuleEvaluated {
			t.Errorf("%s: %s", condition.Type, condition.Message)
		}
		all[condition.Type] = condition
	}
	return all
}

// summary names the conditions that are true.
func (o ocm) summary(t *testing.T, object *unstructured.Unstructured) string {
	t.Helper()
	var holds []string
	for _, condition := range o.evaluate(t, object) {
		if condition.Status == metav1.ConditionTrue {
			holds = append(holds, condition.Type)
		}
	}
	if len(holds) == 0 {
		return "none"
	}
	slices.Sort(holds)
	return strings.Join(holds, ", ")
}

func TestOCMShowsEachState(t *testing.T) {
	ocm := newOCM(t)
	for _, example := range examples(t) {
		values, found := ocm.values(t, example.object), ocm.evaluate(t, example.object)
		reason := strings.TrimSuffix(example.state, "-stalled")
		stalled := strings.HasSuffix(example.state, "-stalled")
		want := map[string]bool{"Progressing": true, "Degraded": stalled, "Offboarded": false, "AwaitingApproval": reason == "AwaitingApproval"}
		message := "The operator has not looked at this yet."
		if reason == "Unvisited" {
			if len(values) != 1 || values["observedGeneration"] != "-1" {
				t.Errorf("%s: the hub sees %v", example.name, values)
			}
		} else {
			ready := condition(t, example.object, "Ready")
			want["Progressing"] = ready["status"] != "True"
			want["Offboarded"] = condition(t, example.object, "Offboarded")["status"] == "True"
			message = fmt.Sprintf("%s: %s", ready["reason"], ready["message"])
			if values["state"] != reason || values["message"] != ready["message"] || values["stalled"] == "True" != stalled {
				t.Errorf("%s: the hub sees %v", example.name, values)
			}
			digest, _, _ := unstructured.NestedString(example.object.Object, "status", "plan", "digest")
			if values["planDigest"] != digest {
				t.Errorf("%s: the hub sees the digest %q of %q", example.name, values["planDigest"], digest)
			}
		}
		for type_, holds := range want {
			got := found[type_]
			if (got.Status == metav1.ConditionTrue) != holds || got.Message != message {
				t.Errorf("%s: %s is %s: %s", example.name, type_, got.Status, got.Message)
			}
		}
		for type_, condition := range ocm.evaluate(t, edited(example.object)) {
			if (condition.Status == metav1.ConditionTrue) != (type_ == workv1.WorkProgressing) {
				t.Errorf("%s, edited: %s is %s", example.name, type_, condition.Status)
			}
		}
	}
}

// An object of which the API server has not stored the default status yet.
func TestOCMWithoutStatus(t *testing.T) {
	ocm := newOCM(t)
	if values := ocm.values(t, ocm.leaver); len(values) != 0 {
		t.Errorf("the hub sees %v", values)
	}
	object := ocm.leaver.DeepCopy()
	object.SetGeneration(1)
	if got := ocm.summary(t, object); got != workv1.WorkProgressing {
		t.Errorf("it is %s", got)
	}
}

// Of what the rules say, ManifestWorkReplicaSet's summary counts two; its names are OCM's.
func TestOCMCountsTheClusters(t *testing.T) {
	ocm := newOCM(t)
	for _, example := range examples(t) {
		var all []metav1.Condition
		for _, condition := range ocm.evaluate(t, example.object) {
			all = append(all, condition)
		}
		work := conditions.AggregateManifestConditions(1, []workv1.ManifestCondition{{Conditions: all}})
		if meta.IsStatusConditionTrue(work, workv1.WorkDegraded) != strings.HasSuffix(example.state, "-stalled") {
			t.Errorf("%s: the work says %v", example.name, work)
		}
		// With this one, OCM would leave the work alone.
		if meta.FindStatusCondition(work, workv1.WorkComplete) != nil {
			t.Errorf("%s is complete", example.name)
		}
	}
}

func TestOCMKeepsTheObject(t *testing.T) {
	ocm := newOCM(t)
	option := ocm.set.Spec.ManifestWorkTemplate.DeleteOption
	if helper.OwnedByTheWork(offboardings, "", "a-leaver", option) {
		t.Error("the UserOffboarding goes with the work")
	}
	if option.TTLSecondsAfterFinished != nil {
		t.Error("the work is removed by itself")
	}
	role := documents(t, "ocm/work-agent-role.yaml", map[string]func() any{
		"rbac.authorization.k8s.io/v1/ClusterRole": func() any { return &rbacv1.ClusterRole{} },
	})["ClusterRole"].(*rbacv1.ClusterRole)
	if verbs := role.Rules[0].Verbs; !slices.Contains(verbs, "patch") || slices.Contains(verbs, "delete") || slices.Contains(verbs, "approve") {
		t.Errorf("the work agent may %v", verbs)
	}
}

func TestOCMConfigurationIsOfTheManifest(t *testing.T) {
	ocm := newOCM(t)
	resource := workv1.ManifestResourceMeta{Group: offboardings.Group, Resource: offboardings.Resource, Name: ocm.leaver.GetName()}
	option := helper.FindManifestConfiguration(resource, ocm.set.Spec.ManifestWorkTemplate.ManifestConfigs)
	if option == nil || len(option.FeedbackRules) != 1 || option.UpdateStrategy == nil {
		t.Errorf("OCM finds %v", option)
	}
	placement := documents(t, "ocm/placement.yaml", map[string]func() any{
		"v1/Namespace": func() any { return &corev1.Namespace{} },
		"cluster.open-cluster-management.io/v1beta2/ManagedClusterSetBinding": func() any { return &clusterv1beta2.ManagedClusterSetBinding{} },
		"cluster.open-cluster-management.io/v1beta1/Placement":                func() any { return &clusterv1beta1.Placement{} },
	})
	bound := placement["ManagedClusterSetBinding"].(*clusterv1beta2.ManagedClusterSetBinding)
	selects := placement["Placement"].(*clusterv1beta1.Placement)
	if selects.Namespace != ocm.set.Namespace || selects.Name != ocm.set.Spec.PlacementRefs[0].Name || bound.Namespace != selects.Namespace ||
		bound.Spec.ClusterSet != selects.Spec.ClusterSets[0] || bound.Name != bound.Spec.ClusterSet {
		t.Error("the work's placement is another one")
	}
}

func TestOCMKeepsApprovals(t *testing.T) {
	ocm := newOCM(t)
	a, b := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	approved := fmt.Sprintf(`{"suspend":true,"approvals":[{"digest":%q}]}`, a)

	kept := newCluster(t, ocm, ocm.config.UpdateStrategy)
	kept.edit(t, approved)
	if err := kept.bring(t, map[string]any{"expectedName": "somebody"}); err != nil {
		t.Fatal(err)
	}
	object, spec := kept.get(t)
	if got := digests(t, object); !slices.Equal(got, []string{a}) || spec["suspend"] != true || spec["expectedName"] != "somebody" {
		t.Errorf("it is now %v", spec)
	}
	// Approved on the hub as well, and that withdrawn.
	if err := kept.bring(t, map[string]any{"approvals": []any{map[string]any{"digest": b}}}); err != nil {
		t.Fatal(err)
	}
	object, _ = kept.get(t)
	if got := digests(t, object); !slices.Equal(got, []string{a, b}) {
		t.Errorf("the approvals of both are %v", got)
	}
	if err := kept.bring(t, nil); err != nil {
		t.Fatal(err)
	}
	object, _ = kept.get(t)
	if got := digests(t, object); !slices.Equal(got, []string{a}) {
		t.Errorf("the approvals are %v once the hub's is withdrawn", got)
	}

	// This is why the strategy is not OCM's default.
	lost := newCluster(t, ocm, &workv1.UpdateStrategy{Type: workv1.UpdateStrategyTypeUpdate})
	lost.edit(t, approved)
	if err := lost.bring(t, map[string]any{"expectedName": "somebody"}); err != nil {
		t.Fatal(err)
	}
	if object, spec := lost.get(t); len(digests(t, object)) != 0 || spec["suspend"] != nil {
		t.Errorf("with OCM's default it is %v: the page says otherwise", spec)
	}
}

// What somebody sets in a cluster is not overwritten, and the hub is told. With ignoreFields, it would not be.
func TestOCMTellsOfConflicts(t *testing.T) {
	ocm := newOCM(t)
	ignoring := ocm.config.UpdateStrategy.DeepCopy()
	ignoring.ServerSideApply.IgnoreFields = []workv1.IgnoreField{
		{Condition: workv1.IgnoreFieldsConditionOnSpokePresent, JSONPaths: []string{".spec.approvals"}},
	}
	for name, strategy := range map[string]*workv1.UpdateStrategy{"the manifest's": ocm.config.UpdateStrategy, "ignoring": ignoring} {
		cluster := newCluster(t, ocm, strategy)
		cluster.edit(t, `{"expectedName":"someone-else"}`)
		var conflict *apply.ServerSideApplyConflictError
		err := cluster.bring(t, nil)
		if told := errors.As(err, &conflict); told != (name == "the manifest's") {
			t.Errorf("%s: OCM says %v", name, err)
		}
		if _, spec := cluster.get(t); spec["expectedName"] != "someone-else" {
			t.Errorf("%s: it is now %v", name, spec)
		}
	}
}
