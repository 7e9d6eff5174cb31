package main

import (
	"archive/tar"
	"crypto/rand"
	"errors"
	"io"
	"os"
)

// writeArchive makes a checkpoint archive with so much memory of a process, which no compression makes smaller.
func writeArchive(file string, mebibytes int) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	for _, m := range []struct{ name, content string }{
		{"config.dump", "{}"}, {"spec.dump", "{}"}, {"checkpoint/inventory.img", "inventory"},
		{"checkpoint/descriptors.json", `["/dev/null","pipe:[1]","pipe:[2]"]`},
	} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: m.name, Mode: 0o600, Size: int64(len(m.content))}); err != nil {
			return err
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			return err
		}
	}
	size := int64(mebibytes) << 20
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "checkpoint/pages-1.img", Mode: 0o600, Size: size}); err != nil {
		return err
	}
	if _, err := io.CopyN(w, rand.Reader, size); err != nil {
		return err
	}
	return w.Close()
}
