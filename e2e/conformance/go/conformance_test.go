// Package conformance calls the operations of ACK's API with the Go SDK that ack-ram-tool is built on. Another SDK than
// Python's: it encodes parameters and signs with code of its own, and drops answers that do not fit its models.
//
// SIMULATOR names the simulator's binary, SEED the seed.
package conformance

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	cs "github.com/alibabacloud-go/cs-20151215/v5/client"
	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	"github.com/alibabacloud-go/tea/tea"
)

// What the seed says.
const (
	account = "1000000000000001"
	leaver  = "259083957089437690"
	cluster = "cexample"
	other   = "cother"
)

// Starts a simulator that ends with the test, and returns a client for it.
func client(t *testing.T, secret string) *cs.Client {
	t.Helper()
	command := exec.Command(os.Getenv("SIMULATOR"), "--seed", os.Getenv("SEED"))
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	line, err := bufio.NewReader(output).ReadBytes('\n')
	must(t, err)
	var addresses struct{ HTTP string }
	must(t, json.Unmarshal(line, &addresses))
	address, err := url.Parse(addresses.HTTP)
	must(t, err)
	client, err := cs.NewClient(&openapi.Config{
		AccessKeyId:     tea.String("example-operator"),
		AccessKeySecret: tea.String(secret),
		Endpoint:        tea.String(address.Host),
		Protocol:        tea.String("HTTP"),
		RegionId:        tea.String("cn-hangzhou"),
	})
	must(t, err)
	// Left to itself, this SDK makes the signature before ACS3, as TestTheSignatureBeforeACS3 has it.
	client.SignatureAlgorithm = tea.String("ACS3-HMAC-SHA256")
	return client
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, actual, expected string) {
	t.Helper()
	if actual != expected {
		t.Fatalf("%q is not %q", actual, expected)
	}
}

func refused(t *testing.T, err error, code string) {
	t.Helper()
	var refusal *tea.SDKError
	if !errors.As(err, &refusal) {
		t.Fatalf("not refused by the service: %v", err)
	}
	equal(t, tea.StringValue(refusal.Code), code)
}

// Each cluster with its state, in the order of the answer.
func states(t *testing.T, client *cs.Client) string {
	t.Helper()
	answer, err := client.ListUserKubeConfigStates(tea.String(leaver), &cs.ListUserKubeConfigStatesRequest{
		PageNumber: tea.Int32(1),
		PageSize:   tea.Int32(50),
	})
	must(t, err)
	var states []string
	for _, state := range answer.Body.States {
		states = append(states, tea.StringValue(state.ClusterId)+" "+tea.StringValue(state.CertState))
	}
	return strings.Join(states, ", ")
}

func TestAuditProject(t *testing.T) {
	client := client(t, "example-operator-secret")
	answer, err := client.GetClusterAuditProject(tea.String(cluster))
	must(t, err)
	equal(t, tea.StringValue(answer.Body.SlsProjectName), "k8s-log-"+cluster+"\n")
	_, err = client.GetClusterAuditProject(tea.String("c-none"))
	refused(t, err, "ErrorClusterNotFound")
}

func TestTheSignatureBeforeACS3(t *testing.T) {
	for secret, refusal := range map[string]string{"example-operator-secret": "", "wrong": "SignatureDoesNotMatch"} {
		client := client(t, secret)
		client.SignatureAlgorithm = tea.String("v2")
		answer, err := client.ListClusterKubeconfigStates(tea.String(cluster), &cs.ListClusterKubeconfigStatesRequest{
			PageNumber: tea.Int32(1),
			PageSize:   tea.Int32(50),
		})
		if refusal != "" {
			refused(t, err, refusal)
			continue
		}
		must(t, err)
		var states []string
		for _, state := range answer.Body.States {
			states = append(states, tea.StringValue(state.AccountId)+" "+tea.StringValue(state.AccountState))
		}
		equal(t, strings.Join(states, ", "), leaver+" Active, 259083957089437691 Deleted")
	}
}

func TestGrants(t *testing.T) {
	answer, err := client(t, "example-operator-secret").DescribeUserPermission(tea.String(leaver))
	must(t, err)
	var grants []string
	for _, grant := range answer.Body {
		text := func(value *string) string { return tea.StringValue(value) }
		grants = append(grants, strings.Join([]string{
			text(grant.ResourceType), text(grant.ResourceId), text(grant.RoleType), text(grant.RoleName),
		}, " "))
	}
	equal(t, strings.Join(grants, ", "),
		"cluster cexample admin , namespace cother/shop dev , console all-clusters custom cs:mine")
}

func TestPurge(t *testing.T) {
	client := client(t, "example-operator-secret")
	equal(t, states(t, client), cluster+" Unexpired, "+other+" Unissued")
	purge := func(uid string, force bool) error {
		request := &cs.CleanClusterUserPermissionsRequest{Force: tea.Bool(force)}
		_, err := client.CleanClusterUserPermissions(tea.String(cluster), tea.String(uid), request)
		return err
	}
	refused(t, purge(account, true), "Simulated.RootAccount")
	must(t, purge(leaver, false))
	equal(t, states(t, client), cluster+" Removed, "+other+" Unissued")
	refused(t, purge(leaver, true), "Simulated.NothingToRevoke")
}

func TestAWrongSecretIsRefused(t *testing.T) {
	_, err := client(t, "wrong").GetClusterAuditProject(tea.String(cluster))
	refused(t, err, "SignatureDoesNotMatch")
}
