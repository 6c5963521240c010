// The manifest that a release publishes for Krew, judged by Krew's own programs: the one that checks manifests for Krew's index, and krew itself. The
// archives are what plugins/release.go makes of stand-in binaries.
package krew

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"sigs.k8s.io/krew/pkg/index"
	"sigs.k8s.io/yaml"
)

const (
	root    = "../.."
	version = "9.8.7"
	// Where nothing is: for what downloads nothing.
	nowhere = "https://git.example/owner/repository"
	// Krew's index is on the network.
	noDefaultIndex = "KREW_DEFAULT_INDEX_URI=file:///nowhere"
)

var platforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

// Holds krew, validate-krew-manifest, release, and a kubectl that knows its plugin krew.
var programs string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "krew-programs")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(folder)
		programs = folder
		for _, arguments := range [][]string{
			{"build", "-o", folder, "sigs.k8s.io/krew/cmd/krew", "sigs.k8s.io/krew/cmd/validate-krew-manifest"},
			{"build", "-o", filepath.Join(folder, "release"), filepath.Join(root, "plugins", "release.go")},
		} {
			if output, err := exec.Command("go", arguments...).CombinedOutput(); err != nil {
				panic(fmt.Sprintf("go %v: %v\n%s", arguments, err, output))
			}
		}
		kubectl := "#!/bin/sh\nplugin=$1\nshift\nexec \"$(dirname \"$0\")/$plugin\" \"$@\"\n"
		if err := os.WriteFile(filepath.Join(folder, "kubectl"), []byte(kubectl), 0o755); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// What the stand-in for a platform's binary says.
func says(platform string) string { return "this is the plugin for " + platform }

// release makes a release in `out`, whose archives are to be downloaded from below `repository`.
func release(t *testing.T, repository, out string) {
	t.Helper()
	binaries := t.TempDir()
	write(t, filepath.Join(binaries, "kubectl-ack_offboard.1"), ".TH kubectl-ack_offboard 1\n")
	for _, platform := range platforms {
		binary := "kubectl-ack_offboard"
		if strings.HasPrefix(platform, "windows/") {
			binary += ".exe"
		}
		write(t, filepath.Join(binaries, strings.ReplaceAll(platform, "/", "-"), binary), "#!/bin/sh\necho "+says(platform)+"\n")
	}
	out, err := filepath.Abs(out)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(filepath.Join(programs, "release"), version, repository, binaries, out)
	command.Dir = root
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("plugins/release.go: %v\n%s", err, output)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	// Not executable: the release's binaries come that way.
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// published makes a release and serves it as the repository's host would; returns its folder, and what was downloaded so far.
func published(t *testing.T) (folder string, downloads func() []string) {
	t.Helper()
	folder = t.TempDir()
	var lock sync.Mutex
	var served []string
	prefix := "/owner/repository/releases/download/v" + version + "/"
	files := http.StripPrefix(prefix, http.FileServer(http.Dir(folder)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lock.Lock()
		served = append(served, strings.TrimPrefix(r.URL.Path, prefix))
		lock.Unlock()
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	release(t, server.URL+"/owner/repository", folder)
	return folder, func() []string {
		lock.Lock()
		defer lock.Unlock()
		return slices.Clone(served)
	}
}

// run runs one of the programs with nothing in its environment but this.
func run(t *testing.T, program string, environment []string, arguments ...string) (string, error) {
	t.Helper()
	command := exec.Command(filepath.Join(programs, program), arguments...)
	home := t.TempDir()
	command.Env = append([]string{"PATH=" + programs + ":" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, noDefaultIndex}, environment...)
	output, err := command.CombinedOutput()
	return string(output), err
}

func decoded(t *testing.T, path string) index.Plugin {
	t.Helper()
	plugin, err := strictly(read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return plugin
}

// Krew itself passes over fields that it does not know: a misspelt one would simply be missing.
func strictly(text string) (plugin index.Plugin, err error) {
	err = yaml.UnmarshalStrict([]byte(text), &plugin)
	return plugin, err
}

// naming checks what Krew's program leaves to the people who review its index.
func naming(plugin index.Plugin) error {
	name, short := plugin.Name, plugin.Spec.ShortDescription
	switch {
	case !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(name):
		return fmt.Errorf("%q is not in lower case with single hyphens", name)
	case strings.Contains(name, "kube"):
		return fmt.Errorf("%q says kube, which goes without saying", name)
	case !strings.HasPrefix(name, "ack-"):
		return fmt.Errorf("%q does not begin with the vendor's product: for one vendor alone, it would take the word from everybody", name)
	case utf8.RuneCountInString(short) > 50 || strings.HasSuffix(short, "."):
		return fmt.Errorf("the short description is over 50 characters, or ends in a full stop: %q", short)
	case !regexp.MustCompile(`^v\d+\.\d+\.\d+`).MatchString(plugin.Spec.Version):
		return fmt.Errorf("the version is %q, and not vX.Y.Z", plugin.Spec.Version)
	case plugin.Spec.Homepage == "" || plugin.Spec.Description == "":
		return fmt.Errorf("the homepage or the description is missing")
	}
	for _, line := range strings.Split(plugin.Spec.Description+plugin.Spec.Caveats, "\n") {
		if utf8.RuneCountInString(line) > 80 {
			return fmt.Errorf("over 80 characters, and Krew wraps no lines: %q", line)
		}
	}
	return nil
}

// offers checks that there is an archive for each platform and no other, named after it, with the binary that Krew links.
func offers(plugin index.Plugin) error {
	var offered []string
	for _, platform := range plugin.Spec.Platforms {
		labels := platform.Selector.MatchLabels
		offered = append(offered, labels["os"]+"/"+labels["arch"])
		ending, binary := ".tar.gz", "kubectl-"+strings.ReplaceAll(plugin.Name, "-", "_")
		if labels["os"] == "windows" {
			ending, binary = ".zip", binary+".exe"
		}
		if platform.Bin != binary {
			return fmt.Errorf("the binary for %v is %s, and kubectl finds %s", labels, platform.Bin, binary)
		}
		if end := fmt.Sprintf("/kubectl-ack_offboard-%s-%s-%s%s", version, labels["os"], labels["arch"], ending); !strings.HasSuffix(platform.URI, end) {
			return fmt.Errorf("%s does not end in %s", platform.URI, end)
		}
	}
	if !slices.Equal(offered, platforms) {
		return fmt.Errorf("the platforms are %v, expected %v", offered, platforms)
	}
	return nil
}

// judged is everything that is checked of a manifest without its archives.
func judged(t *testing.T, path string) error {
	t.Helper()
	if output, err := run(t, "validate-krew-manifest", nil, "-skip-install", "-manifest", path); err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	plugin, err := strictly(read(t, path))
	if err == nil {
		err = naming(plugin)
	}
	if err == nil {
		err = offers(plugin)
	}
	return err
}

func TestTheManifestKeepsKrewsRules(t *testing.T) {
	folder := t.TempDir()
	release(t, nowhere, folder)
	manifest := filepath.Join(folder, "ack-offboard.yaml")
	if err := judged(t, manifest); err != nil {
		t.Error(err)
	}
	plugin := decoded(t, manifest)
	if plugin.Spec.Homepage != nowhere {
		t.Errorf("the homepage is %q", plugin.Spec.Homepage)
	}
	if text := read(t, manifest); strings.Contains(text, "$") || strings.HasPrefix(text, "#") {
		t.Errorf("something of the template is left:\n%s", text)
	}
}

// The checks check: each rule is broken once.
func TestEachRuleBroken(t *testing.T) {
	folder := t.TempDir()
	release(t, nowhere, folder)
	manifest := read(t, filepath.Join(folder, "ack-offboard.yaml"))
	sum := decoded(t, filepath.Join(folder, "ack-offboard.yaml")).Spec.Platforms[0].Sha256
	for _, broken := range []struct{ rule, old, new, want string }{
		// Krew's program.
		{"API version", "/v1alpha2", "/v1alpha3", "not supported in this version of krew"},
		{"kind", "kind: Plugin", "kind: Plug", `only "Plugin" is supported`},
		{"file name", "name: ack-offboard", "name: ack-offboarding", `should be named "ack-offboard"`},
		{"a short description", "  shortDescription: ", "  # ", "should have a short description"},
		{"one line", "shortDescription: ", "shortDescription: |\n    one\n    ", "line breaks in short description"},
		{"a version", "version: v", "# version: v", "should have a version"},
		{"semantic version", "version: v" + version, "version: v9.8", "failed to parse plugin version"},
		{"address", "    - selector: {matchLabels: {os: linux, arch: amd64}}\n      uri: ", "    - selector: {matchLabels: {os: linux, arch: amd64}}\n      # ", "`uri` has to be set"},
		{"checksum", sum, sum[1:], "must match pattern"},
		{"a checksum", "sha256: " + sum, "# none", "`sha256` sum has to be set"},
		{"binary", "      bin: kubectl-ack_offboard\n    - selector: {matchLabels: {os: linux, arch: arm64}}", "    - selector: {matchLabels: {os: linux, arch: arm64}}", "`bin` has to be set"},
		{"labels", "{os: linux, arch: amd64}", "{os: linux, cpu: amd64}", `key "cpu" not supported`},
		{"a platform that exists", "{os: linux, arch: amd64}", "{os: linux, arch: sparc}", "doesn't match any supported platforms"},
		{"platforms apart", "{os: linux, arch: amd64}", "{os: linux}", "overlapping platform selectors"},
		{"files", "      bin: kubectl-ack_offboard\n", "      bin: kubectl-ack_offboard\n      files: []\n", "`files` has to be unspecified or non-empty"},
		// What Krew's program leaves out.
		{"known fields", "  homepage: ", "  home: x\n  homepage: ", "unknown field"},
		{"fields once", "  homepage: ", "  version: v1.0.0\n  homepage: ", "already set"},
		{"short", "shortDescription: ", "shortDescription: By and large, all things considered, ", "over 50 characters"},
		{"full stop", "ACK cluster\n", "ACK cluster.\n", "ends in a full stop"},
		{"v", "version: v", "version: ", "failed to parse plugin version"},
		{"homepage", "  homepage: ", "  # ", "the homepage or the description is missing"},
		{"width", "  description: |\n", "  description: |\n    " + strings.Repeat("x", 81) + "\n", "over 80 characters"},
		{"dashes", "bin: kubectl-ack_offboard", "bin: kubectl-ack-offboard", "kubectl finds kubectl-ack_offboard"},
		{"all platforms", "{os: linux, arch: arm64}", "{os: linux, arch: arm}", "does not end in"},
		{"the platform's archive", "-linux-amd64.tar.gz", "-linux-arm64.tar.gz", "does not end in"},
	} {
		t.Run(broken.rule, func(t *testing.T) {
			if !strings.Contains(manifest, broken.old) {
				t.Fatalf("the manifest has no %q", broken.old)
			}
			path := filepath.Join(t.TempDir(), "ack-offboard.yaml")
			write(t, path, strings.Replace(manifest, broken.old, broken.new, 1))
			if err := judged(t, path); err == nil || !strings.Contains(err.Error(), broken.want) {
				t.Errorf("expected %q, got: %v", broken.want, err)
			}
		})
	}
	for name, want := range map[string]string{
		"ack_offboard":         "lower case",
		"kubectl-ack-offboard": "says kube",
		"offboard":             "vendor",
	} {
		plugin, err := strictly(strings.Replace(manifest, "name: ack-offboard", "name: "+name, 1))
		if err == nil {
			err = naming(plugin)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: expected %q, got: %v", name, want, err)
		}
	}
	plugin, err := strictly(manifest)
	if err != nil {
		t.Fatal(err)
	}
	plugin.Spec.Platforms = plugin.Spec.Platforms[1:]
	if err := offers(plugin); err == nil || !strings.Contains(err.Error(), "the platforms are") {
		t.Errorf("one platform is missing: %v", err)
	}
}

// What is committed claims no checksum that nothing has.
func TestKrewRefusesTheTemplate(t *testing.T) {
	output, err := run(t, "validate-krew-manifest", nil, "-skip-install", "-manifest", filepath.Join(root, "plugins", "ack-offboard.yaml"))
	if err == nil || !strings.Contains(output, "${") {
		t.Errorf("%v: %s", err, output)
	}
	output, err = run(t, "krew", []string{"KREW_ROOT=" + t.TempDir()}, "install", "--manifest="+filepath.Join(root, "plugins", "ack-offboard.yaml"))
	if err == nil {
		t.Errorf("installed by the template: %s", output)
	}
}

// By Krew's program: each archive is downloaded, verified, unpacked, has a licence, and holds the binary.
func TestEachPlatformInstalls(t *testing.T) {
	folder, downloads := published(t)
	output, err := run(t, "validate-krew-manifest", nil, "-manifest", filepath.Join(folder, "ack-offboard.yaml"))
	if err != nil || !strings.Contains(output, "all 6 spec.platforms installed fine") {
		t.Fatalf("%v: %s", err, output)
	}
	var expected []string
	for _, platform := range decoded(t, filepath.Join(folder, "ack-offboard.yaml")).Spec.Platforms {
		expected = append(expected, filepath.Base(platform.URI))
	}
	if served := downloads(); !slices.Equal(served, expected) {
		t.Errorf("downloaded were %v, expected %v", served, expected)
	}
	sums := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	sums.Dir = folder
	if output, err := sums.CombinedOutput(); err != nil || strings.Count(string(output), ": OK\n") != len(platforms)+1 {
		t.Errorf("SHA256SUMS: %v: %s", err, output)
	}
}

func TestWhatIsInstalled(t *testing.T) {
	folder, _ := published(t)
	for _, platform := range platforms {
		t.Run(platform, func(t *testing.T) {
			system, processor, _ := strings.Cut(platform, "/")
			home := t.TempDir()
			output, err := run(t, "krew", []string{"KREW_ROOT=" + home, "KREW_OS=" + system, "KREW_ARCH=" + processor},
				"install", "--manifest="+filepath.Join(folder, "ack-offboard.yaml"))
			if err != nil || !strings.Contains(output, "kubectl ack-offboard") || !strings.Contains(output, "Caveats:") {
				t.Fatalf("%v: %s", err, output)
			}
			store := filepath.Join(home, "store", "ack-offboard", "v"+version)
			link := filepath.Join(home, "bin", "kubectl-ack_offboard")
			if system == "windows" {
				link += ".exe"
			}
			if target, err := os.Readlink(link); err != nil || filepath.Dir(target) != store {
				t.Errorf("%s leads to %s: %v", link, target, err)
			}
			if output, err := exec.Command(link).CombinedOutput(); err != nil || string(output) != says(platform)+"\n" {
				t.Errorf("%v: %s", err, output)
			}
			entries, err := os.ReadDir(store)
			var files []string
			for _, entry := range entries {
				files = append(files, entry.Name())
			}
			if expected := []string{"LICENSE", filepath.Base(link), "kubectl-ack_offboard.1"}; err != nil || !same(files, expected) {
				t.Errorf("installed are %v: %v", files, err)
			}
			if read(t, filepath.Join(store, "LICENSE")) != read(t, filepath.Join(root, "LICENSE")) {
				t.Error("it is not the licence")
			}
		})
	}
}

func same(some, others []string) bool {
	slices.Sort(some)
	slices.Sort(others)
	return slices.Equal(some, others)
}

// page returns the block of shell commands in docs/plugin-install.md that contains the words.
func page(t *testing.T, words string) string {
	t.Helper()
	var found []string
	for _, rest := range strings.Split(read(t, filepath.Join(root, "docs", "plugin-install.md")), "```sh\n")[1:] {
		if block, _, _ := strings.Cut(rest, "```"); strings.Contains(block, words) {
			found = append(found, block)
		}
	}
	if len(found) != 1 {
		t.Fatalf("the page has %d blocks with %q", len(found), words)
	}
	return found[0]
}

// The commands of docs/plugin-install.md, as they stand there.
func TestThePagesCommands(t *testing.T) {
	folder, _ := published(t)
	home := t.TempDir()
	shell := func(t *testing.T, commands string) string {
		t.Helper()
		command := exec.Command("sh", "-eu", "-c", strings.ReplaceAll(commands, "VERSION", version))
		command.Dir = folder
		command.Env = []string{
			"PATH=" + programs + ":" + filepath.Join(home, ".krew", "bin") + ":" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + t.TempDir(), noDefaultIndex,
			"GIT_AUTHOR_NAME=somebody", "GIT_AUTHOR_EMAIL=somebody@example.com", "GIT_COMMITTER_NAME=somebody", "GIT_COMMITTER_EMAIL=somebody@example.com",
		}
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", commands, err, output)
		}
		return string(output)
	}
	works := func(t *testing.T, binary, platform string) {
		t.Helper()
		if output := shell(t, binary); output != says(platform)+"\n" {
			t.Errorf("%s says %s", binary, output)
		}
	}
	here := runtime.GOOS + "/" + runtime.GOARCH
	t.Run("archive", func(t *testing.T) {
		if output := shell(t, page(t, "sha256sum")); !strings.Contains(output, "kubectl-ack_offboard-"+version+"-linux-amd64.tar.gz: OK\n") {
			t.Errorf("the checksums: %s", output)
		}
		works(t, "~/.local/bin/kubectl-ack_offboard", "linux/amd64")
		if !strings.HasPrefix(read(t, filepath.Join(home, ".local/share/man/man1/kubectl-ack_offboard.1")), ".TH ") {
			t.Error("there is no manual page")
		}
	})
	t.Run("index", func(t *testing.T) {
		shell(t, page(t, "git init"))
		shell(t, strings.ReplaceAll(page(t, "krew index add"), "INDEX", "file://"+filepath.Join(folder, "krew-index")))
		works(t, "kubectl-ack_offboard", here)
	})
	t.Run("upgrade", func(t *testing.T) {
		// The same archives by the name of a later version.
		edit(t, folder, "version: v"+version, "version: v9.8.8")
		shell(t, "cp ack-offboard.yaml krew-index/plugins/\ngit -C krew-index commit --all --message later\nkubectl krew upgrade")
		if output := shell(t, "readlink ~/.krew/bin/kubectl-ack_offboard"); !strings.Contains(output, "/v9.8.8/") {
			t.Errorf("after the upgrade: %s", output)
		}
		works(t, "kubectl-ack_offboard", here)
	})
	t.Run("manifest", func(t *testing.T) {
		shell(t, "kubectl krew uninstall ack-offboard")
		shell(t, page(t, "krew install --manifest"))
		works(t, "kubectl-ack_offboard", here)
	})
}

// An archive that was changed, or does not hold what it should, is not installed.
func TestEachFaultOfAnArchive(t *testing.T) {
	for _, fault := range []struct {
		name, want string
		make       func(t *testing.T, folder string)
	}{
		{"changed", "checksum does not match", func(t *testing.T, folder string) {
			path := filepath.Join(folder, "kubectl-ack_offboard-"+version+"-darwin-arm64.tar.gz")
			write(t, path, read(t, path)+"\x00")
		}},
		{"missing", "spec.platforms[5] failed to install", func(t *testing.T, folder string) {
			if err := os.Remove(filepath.Join(folder, "kubectl-ack_offboard-"+version+"-windows-arm64.zip")); err != nil {
				t.Fatal(err)
			}
		}},
		{"another's binary", "cannot be found in extracted archive", func(t *testing.T, folder string) {
			edit(t, folder, "bin: kubectl-ack_offboard.exe", "bin: kubectl-ack_offboard")
		}},
		{"no licence", "could not find license file", func(t *testing.T, folder string) {
			edit(t, folder, "bin: kubectl-ack_offboard\n", "bin: kubectl-ack_offboard\n      files: [{from: kubectl-ack_offboard, to: .}]\n")
		}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			folder, _ := published(t)
			fault.make(t, folder)
			output, err := run(t, "validate-krew-manifest", nil, "-manifest", filepath.Join(folder, "ack-offboard.yaml"))
			if err == nil || !strings.Contains(output, fault.want) {
				t.Errorf("expected %q, got %v: %s", fault.want, err, output)
			}
		})
	}
}

func edit(t *testing.T, folder, old, new string) {
	t.Helper()
	path := filepath.Join(folder, "ack-offboard.yaml")
	text := read(t, path)
	if !strings.Contains(text, old) {
		t.Fatalf("the manifest has no %q", old)
	}
	write(t, path, strings.Replace(text, old, new, 1))
}

// datesIn returns the date of each file in an archive.
func datesIn(path string) (dates []time.Time, err error) {
	if strings.HasSuffix(path, ".zip") {
		archive, err := zip.OpenReader(path)
		if err != nil {
			return nil, err
		}
		defer archive.Close()
		for _, file := range archive.File {
			dates = append(dates, file.Modified)
		}
		return dates, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	for archive := tar.NewReader(unpacked); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return dates, nil
		}
		if err != nil {
			return nil, err
		}
		dates = append(dates, header.ModTime)
	}
}

// plugins/release.go is whole or nothing, and the same each time.
func TestTheReleaseItself(t *testing.T) {
	one, other := t.TempDir(), t.TempDir()
	release(t, nowhere, one)
	release(t, nowhere, other)
	if read(t, filepath.Join(one, "SHA256SUMS")) != read(t, filepath.Join(other, "SHA256SUMS")) {
		t.Error("the same binaries gave two releases")
	}
	// Two runs can fall into one second: no file bears the time of its run, and each archive is what its name says.
	for _, platform := range decoded(t, filepath.Join(one, "ack-offboard.yaml")).Spec.Platforms {
		dates, err := datesIn(filepath.Join(one, filepath.Base(platform.URI)))
		if err != nil || len(dates) != 3 {
			t.Errorf("%s: %v, %v", platform.URI, dates, err)
		}
		for _, date := range dates {
			if !date.Equal(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) {
				t.Errorf("%s holds a file of %v", platform.URI, date)
			}
		}
	}
	crate := read(t, filepath.Join(root, "crates", "kubectl-ack-offboard", "Cargo.toml"))
	if !strings.Contains(crate, "\nname = \"kubectl-ack_offboard\"\n") {
		t.Error("the crate makes no kubectl-ack_offboard")
	}

	for _, fault := range []struct{ name, old, new, want string }{
		{"a value without a place", "${SHA256_LINUX_ARM64}", "${SHA256_LINUX_AMD64}", "has no ${SHA256_LINUX_ARM64}"},
		{"a place without a value", "${SHA256_LINUX_ARM64}", "${SHA256_LINUX_RISCV64} ${SHA256_LINUX_ARM64}", "nothing is known for ${SHA256_LINUX_RISCV64}"},
		{"no binary", "", "", "no such file or directory"},
	} {
		t.Run(fault.name, func(t *testing.T) {
			copied, binaries := t.TempDir(), t.TempDir()
			write(t, filepath.Join(copied, "LICENSE"), "")
			template := read(t, filepath.Join(root, "plugins", "ack-offboard.yaml"))
			write(t, filepath.Join(copied, "plugins", "ack-offboard.yaml"), strings.ReplaceAll(template, fault.old, fault.new))
			write(t, filepath.Join(binaries, "kubectl-ack_offboard.1"), "")
			for _, platform := range platforms {
				binary := filepath.Join(binaries, strings.ReplaceAll(platform, "/", "-"), "kubectl-ack_offboard")
				if strings.HasPrefix(platform, "windows/") {
					binary += ".exe"
				}
				if fault.old != "" || platform != "windows/arm64" {
					write(t, binary, "")
				}
			}
			command := exec.Command(filepath.Join(programs, "release"), version, nowhere, binaries, filepath.Join(copied, "out"))
			command.Dir = copied
			if output, err := command.CombinedOutput(); err == nil || !strings.Contains(string(output), fault.want) {
				t.Errorf("expected %q, got %v: %s", fault.want, err, output)
			}
			if _, err := os.Stat(filepath.Join(copied, "out", "SHA256SUMS")); err == nil {
				t.Error("it has checksums all the same")
			}
		})
	}
}
