// What the engines that send manifests to many clusters make of docs/fleet: their own code, on their own types, and on objects that the
// operator's tests recorded in every state (../gitops/states).
package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	workv1alpha2 "github.com/karmada-io/karmada/pkg/apis/work/v1alpha2"
	"github.com/karmada-io/karmada/pkg/util/names"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/jsonpath"
	workv1 "open-cluster-management.io/api/work/v1"
	workv1alpha1 "open-cluster-management.io/api/work/v1alpha1"
	"sigs.k8s.io/yaml"
)

const (
	docs    = "../../docs/fleet"
	page    = docs + "/README.md"
	crdFile = "../../crds/ack-offboarding.io_useroffboardings.yaml"
)

var offboardings = apischema.GroupVersionResource{Group: "ack-offboarding.io", Version: "v1alpha1", Resource: "useroffboardings"}

// example is an object in a state: STATE, or STATE.CONDITION-REASON for a further one.
type example struct {
	name, state string
	object      *unstructured.Unstructured
}

func examples(t *testing.T) []example {
	t.Helper()
	files, err := filepath.Glob("../gitops/states/*.json")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d states: %v", len(files), err)
	}
	var all []example
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		state, _, _ := strings.Cut(name, ".")
		all = append(all, example{name, state, object})
	}
	return all
}

// edited is the object after an edit that the operator has not seen.
func edited(object *unstructured.Unstructured) *unstructured.Unstructured {
	object = object.DeepCopy()
	object.SetGeneration(object.GetGeneration() + 1)
	return object
}

func condition(t *testing.T, object *unstructured.Unstructured, type_ string) map[string]any {
	t.Helper()
	conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range conditions {
		if each := each.(map[string]any); each["type"] == type_ {
			return each
		}
	}
	return nil
}

func digests(t *testing.T, object *unstructured.Unstructured) []string {
	t.Helper()
	approvals, _, err := unstructured.NestedSlice(object.Object, "spec", "approvals")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, approval := range approvals {
		all = append(all, approval.(map[string]any)["digest"].(string))
	}
	return all
}

// documents decodes a page's manifests into the engine's own types: no field is misspelt, and no kind is of another version.
func documents(t *testing.T, file string, types map[string]func() any) map[string]any {
	t.Helper()
	decoded := map[string]any{}
	for _, document := range strings.Split(string(read(t, file)), "\n---\n") {
		var head struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		known, ok := types[head.APIVersion+"/"+head.Kind]
		if !ok {
			t.Fatalf("%s: nobody knows %s %s", file, head.APIVersion, head.Kind)
		}
		object := known()
		if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
			t.Fatalf("%s, %s: %v", file, head.Kind, err)
		}
		decoded[head.Kind] = object
	}
	return decoded
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docs, file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// offboarding reads a UserOffboarding, as the API server would: it refuses what the CRD does not know or does not allow.
func offboarding(t *testing.T, text []byte) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict(text, &object.Object); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	// Numbers as an API server has them.
	if err := object.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	valid(t, object)
	return object
}

func crdSchema(t *testing.T) *apiextensionsv1.JSONSchemaProps {
	t.Helper()
	text, err := os.ReadFile(crdFile)
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.Unmarshal(text, crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// valid says that an API server with the CRD would take the object, and drop nothing of it.
func valid(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	internal := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crdSchema(t), internal, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := schema.NewStructural(internal)
	if err != nil {
		t.Fatal(err)
	}
	if unknown := pruning.PruneWithOptions(object.DeepCopy().Object, structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}); len(unknown) > 0 {
		t.Fatalf("the CRD does not know %v", unknown)
	}
	validator, _, err := validation.NewSchemaValidator(internal)
	if err != nil {
		t.Fatal(err)
	}
	if errors := validation.ValidateCustomResource(nil, object.Object, validator); len(errors) > 0 {
		t.Fatalf("the CRD does not allow it: %v", errors.ToAggregate())
	}
}

// TestPage compares the table of states in docs/fleet/README.md with what the engines say. UPDATE_PAGE=1 writes it.
func TestPage(t *testing.T) {
	argo, ocm, karmada := newArgo(t), newOCM(t), newKarmada(t)
	rows := map[string][]string{}
	row := func(state string, object *unstructured.Unstructured) {
		health, _ := argo.health(t, object)
		line := fmt.Sprintf("%s | %s | %s", health, ocm.summary(t, object), karmada.summary(t, object))
		if !slices.Contains(rows[line], state) {
			rows[line] = append(rows[line], state)
		}
	}
	for _, example := range examples(t) {
		state := fmt.Sprintf("`%s`", strings.TrimSuffix(example.state, "-stalled"))
		row(state, example.object)
		row("after an edit that the operator has not seen", edited(example.object))
	}
	var lines []string
	for line, states := range rows {
		slices.Sort(states)
		lines = append(lines, fmt.Sprintf("| %s | %s |\n", strings.Join(states, ", "), line))
	}
	slices.Sort(lines)
	table := "| in the cluster | Argo CD | OCM | Karmada |\n|---|---|---|---|\n" + strings.Join(lines, "")

	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := bytes.Cut(text, []byte("<!-- states -->\n"))
	has, after, ends := bytes.Cut(rest, []byte("<!-- end of states -->\n"))
	if !begins || !ends {
		t.Fatal("the page has no table of states")
	}
	if string(has) == table {
		return
	}
	if os.Getenv("UPDATE_PAGE") != "1" {
		t.Fatalf("the page differs; to write it: UPDATE_PAGE=1 go test -run TestPage. It should have\n%s", table)
	}
	text = fmt.Appendf(nil, "%s<!-- states -->\n%s<!-- end of states -->\n%s", before, table, after)
	if err := os.WriteFile(page, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestCommands runs the JSONPaths of the page's commands on what the engines write on a hub.
func TestCommands(t *testing.T) {
	ocm, karmada := newOCM(t), newKarmada(t)
	var works []any
	var binding workv1alpha2.ClusterResourceBinding
	var want string
	for _, example := range examples(t) {
		if example.name != "Offboarded" && example.name != "AwaitingApproval" {
			continue
		}
		digest, _, _ := unstructured.NestedString(example.object.Object, "status", "plan", "digest")
		want += fmt.Sprintf("%s\t%s\t%s\n", strings.ToLower(example.name), example.state, digest)

		work := workv1.ManifestWork{}
		work.Namespace = strings.ToLower(example.name)
		values, err := ocm.feedback.GetValuesByRule(example.object, ocm.config.FeedbackRules[0])
		if err != nil {
			t.Fatal(err)
		}
		work.Status.ResourceStatus.Manifests = []workv1.ManifestCondition{{StatusFeedbacks: workv1.StatusFeedbackResult{Values: values}}}
		works = append(works, work)

		item := karmada.item(t, work.Namespace, example.object)
		item.Health = workv1alpha2.ResourceHealthy
		binding.Status.AggregatedStatus = append(binding.Status.AggregatedStatus, item)
	}
	key := fmt.Sprintf("%s=%s.%s", workv1alpha1.ManifestWorkReplicaSetControllerNameLabelKey, ocm.set.Namespace, ocm.set.Name)
	if got := jsonPath(t, "get manifestworks -A -l "+key, map[string]any{"items": works}); got != want {
		t.Errorf("OCM: %q", got)
	}
	name := names.GenerateBindingName(karmada.template.GetKind(), karmada.template.GetName())
	if got := jsonPath(t, "get clusterresourcebinding "+name, binding); got != strings.ReplaceAll(strings.ReplaceAll(want, "offboarded\t", "offboarded\tHealthy\t"), "approval\t", "approval\tHealthy\t") {
		t.Errorf("Karmada: %q", got)
	}
}

// jsonPath is what the page's command that begins like this prints of an object.
func jsonPath(t *testing.T, command string, object any) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "kubectl "+command+" -o jsonpath='")
	if !found {
		t.Fatalf("the page has no command kubectl %s", command)
	}
	path, _, _ := strings.Cut(rest, "'")
	encoded, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(encoded, &plain); err != nil {
		t.Fatal(err)
	}
	parser := jsonpath.New(command)
	if err := parser.Parse(path); err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if err := parser.Execute(&printed, plain); err != nil {
		t.Fatal(err)
	}
	return printed.String()
}
