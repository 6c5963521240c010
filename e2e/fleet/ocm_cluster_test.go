package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/kube-openapi/pkg/validation/spec"
	workv1 "open-cluster-management.io/api/work/v1"
	"open-cluster-management.io/ocm/pkg/work/spoke/apply"
	"open-cluster-management.io/sdk-go/pkg/basecontroller/events"
)

// cluster is one to which OCM's own appliers write. Objects are merged there by the API server's code, with the CRD's schema.
type cluster struct {
	ocm     ocm
	client  *dynamicfake.FakeDynamicClient
	applier apply.Applier
	option  *workv1.ManifestConfigOption
}

// honest sends the options of an apply, which the fake client drops: who applies, and whether by force.
type honest struct{ *dynamicfake.FakeDynamicClient }

type honestResource struct {
	dynamic.NamespaceableResourceInterface
	client *dynamicfake.FakeDynamicClient
}

func (h honest) Resource(resource schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	return honestResource{h.FakeDynamicClient.Resource(resource), h.FakeDynamicClient}
}

// Namespace: UserOffboardings have none.
func (h honestResource) Namespace(string) dynamic.ResourceInterface { return h }

func (h honestResource) Apply(_ context.Context, name string, object *unstructured.Unstructured, options metav1.ApplyOptions, _ ...string) (*unstructured.Unstructured, error) {
	text, err := object.MarshalJSON()
	if err != nil {
		return nil, err
	}
	action := clienttesting.NewRootPatchActionWithOptions(offboardings, name, types.ApplyPatchType, text, options.ToPatchOptions())
	result, err := h.client.Invokes(action, &unstructured.Unstructured{})
	if err != nil {
		return nil, err
	}
	return result.(*unstructured.Unstructured), nil
}

// newCluster has the object already, brought with this strategy.
func newCluster(t *testing.T, ocm ocm, strategy *workv1.UpdateStrategy) cluster {
	t.Helper()
	scheme := runtime.NewScheme()
	scheme.AddKnownTypeWithName(ocm.leaver.GroupVersionKind(), &unstructured.Unstructured{})
	tracker := clienttesting.NewFieldManagedObjectTracker(scheme, unstructured.UnstructuredJSONScheme, typeConverter(t))
	client := &dynamicfake.FakeDynamicClient{}
	client.AddReactor("*", "*", clienttesting.ObjectReaction(tracker))
	option := ocm.config.DeepCopy()
	option.UpdateStrategy = strategy
	result := cluster{ocm, client, apply.NewAppliers(honest{client}, kubefake.NewClientset(), nil).GetApplier(strategy.Type), option}
	if err := result.bring(t, nil); err != nil {
		t.Fatal(err)
	}
	return result
}

// bring has OCM apply the manifest, with fields of its spec that changed on the hub.
func (c cluster) bring(t *testing.T, changes map[string]any) error {
	t.Helper()
	object := c.ocm.leaver.DeepCopy()
	for field, value := range changes {
		if err := unstructured.SetNestedField(object.Object, value, "spec", field); err != nil {
			t.Fatal(err)
		}
	}
	owner := metav1.OwnerReference{APIVersion: "work.open-cluster-management.io/v1", Kind: "AppliedManifestWork", Name: "w", UID: "u-"}
	_, err := c.applier.Apply(t.Context(), offboardings, object, owner, c.option, events.NewContextualLoggingEventRecorder("test"))
	return err
}

// edit is what a person does in the cluster.
func (c cluster) edit(t *testing.T, spec string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":%s}`, spec)
	_, err := c.client.Resource(offboardings).Patch(t.Context(), "a-leaver", types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "kubectl"})
	if err != nil {
		t.Fatal(err)
	}
}

func (c cluster) get(t *testing.T) (*unstructured.Unstructured, map[string]any) {
	t.Helper()
	object, err := c.client.Resource(offboardings).Get(t.Context(), "a-leaver", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return object, object.Object["spec"].(map[string]any)
}

func typeConverter(t *testing.T) managedfields.TypeConverter {
	t.Helper()
	text, err := json.Marshal(crdSchema(t))
	if err != nil {
		t.Fatal(err)
	}
	crd := &spec.Schema{}
	if err := json.Unmarshal(text, crd); err != nil {
		t.Fatal(err)
	}
	// An API server completes what a CRD leaves out.
	open := spec.MapProperty(nil)
	open.AddExtension("x-kubernetes-preserve-unknown-fields", true)
	crd.Properties["metadata"] = *open
	crd.Properties["apiVersion"], crd.Properties["kind"] = *spec.StringProperty(), *spec.StringProperty()
	crd.AddExtension("x-kubernetes-group-version-kind", []any{
		map[string]any{"group": offboardings.Group, "version": offboardings.Version, "kind": "UserOffboarding"},
	})
	converter, err := managedfields.NewTypeConverter(map[string]*spec.Schema{"UserOffboarding": crd}, false)
	if err != nil {
		t.Fatal(err)
	}
	return converter
}
