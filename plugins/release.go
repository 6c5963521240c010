// Makes what a release of the plugin consists of, out of its binaries:
//
//	go run plugins/release.go VERSION REPOSITORY BINARIES OUT
//
// VERSION is without "v"; REPOSITORY is the address below which releases are downloaded; BINARIES holds linux-amd64/kubectl-ack_offboard and so on
// for each platform, and the manual page kubectl-ack_offboard.1. OUT gets an archive for each platform, SHA256SUMS, and ack-offboard.yaml for
// Krew. The same input gives the same bytes.
//
// In Go, as the standard library writes tar and zip alike on every system, and the tests need Go anyway; to be run from the repository's root.
package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const name = "kubectl-ack_offboard"

var platforms = []string{"linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64", "windows-amd64", "windows-arm64"}

// A date that both formats can hold: when a file was made says nothing that the version does not.
var date = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

type file struct {
	name    string
	mode    int64
	content []byte
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: go run plugins/release.go VERSION REPOSITORY BINARIES OUT")
		os.Exit(64)
	}
	if err := release(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func release(version, repository, binaries, out string) error {
	license, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	manual, err := os.ReadFile(filepath.Join(binaries, name+".1"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	values := map[string]string{"VERSION": version, "REPOSITORY": repository}
	var sums strings.Builder
	for _, platform := range platforms {
		pack, ending, binary := tarball, ".tar.gz", name
		if strings.HasPrefix(platform, "windows-") {
			pack, ending, binary = zipped, ".zip", name+".exe"
		}
		content, err := os.ReadFile(filepath.Join(binaries, platform, binary))
		if err != nil {
			return err
		}
		archive, err := pack([]file{
			// Executable whatever its mode was: artifacts of a workflow lose it.
			{binary, 0o755, content},
			{name + ".1", 0o644, manual},
			{"LICENSE", 0o644, license},
		})
		if err != nil {
			return err
		}
		archiveName := fmt.Sprintf("%s-%s-%s%s", name, version, platform, ending)
		if err := os.WriteFile(filepath.Join(out, archiveName), archive, 0o644); err != nil {
			return err
		}
		sum := fmt.Sprintf("%x", sha256.Sum256(archive))
		fmt.Fprintf(&sums, "%s  %s\n", sum, archiveName)
		values["SHA256_"+strings.ToUpper(strings.ReplaceAll(platform, "-", "_"))] = sum
	}
	manifest, err := render("plugins/ack-offboard.yaml", values)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "ack-offboard.yaml"), manifest, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(&sums, "%x  ack-offboard.yaml\n", sha256.Sum256(manifest))
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

// render puts the values into the template, without the comment at its head. Each value must have its place, and each place its value.
func render(template string, values map[string]string) ([]byte, error) {
	text, err := os.ReadFile(template)
	if err != nil {
		return nil, err
	}
	lines := strings.SplitAfter(string(text), "\n")
	head := slices.IndexFunc(lines, func(line string) bool { return !strings.HasPrefix(line, "#") })
	used := map[string]bool{}
	var wrong []error
	rendered := os.Expand(strings.Join(lines[max(head, 0):], ""), func(key string) string {
		value, known := values[key]
		if !known {
			wrong = append(wrong, fmt.Errorf("%s: nothing is known for ${%s}", template, key))
		}
		used[key] = true
		return value
	})
	for key := range values {
		if !used[key] {
			wrong = append(wrong, fmt.Errorf("%s has no ${%s}", template, key))
		}
	}
	return []byte(rendered), errors.Join(wrong...)
}

func tarball(files []file) ([]byte, error) {
	var buffer bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&buffer, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(compressed)
	for _, file := range files {
		header := tar.Header{
			Typeflag: tar.TypeReg, Name: file.name, Mode: file.mode, Size: int64(len(file.content)), ModTime: date, Format: tar.FormatUSTAR,
		}
		if err := archive.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(file.content); err != nil {
			return nil, err
		}
	}
	return closed(&buffer, archive, compressed)
}

func zipped(files []file) ([]byte, error) {
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	for _, file := range files {
		header := zip.FileHeader{Name: file.name, Method: zip.Deflate, Modified: date}
		header.SetMode(os.FileMode(file.mode))
		writer, err := archive.CreateHeader(&header)
		if err != nil {
			return nil, err
		}
		if _, err := writer.Write(file.content); err != nil {
			return nil, err
		}
	}
	return closed(&buffer, archive)
}

func closed(buffer *bytes.Buffer, writers ...io.Closer) ([]byte, error) {
	for _, writer := range writers {
		if err := writer.Close(); err != nil {
			return nil, err
		}
	}
	return buffer.Bytes(), nil
}
