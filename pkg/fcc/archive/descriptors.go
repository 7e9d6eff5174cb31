package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// standardStreams is the number of descriptors that runc records.
const standardStreams = 3

// descriptors checks and writes the list of the container's standard streams. runc hands every listed descriptor of its
// own to CRIU by number: a longer list would reach descriptors that are none of the container's.
func (u *unpacking) descriptors(name string, content io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(content, 64<<10))
	if err != nil {
		return fmt.Errorf("unpacking %s: %w", name, err)
	}
	var streams []string
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&streams); err != nil || d.More() || len(streams) > standardStreams {
		return refuse(name, "is no list of three standard streams")
	}
	f, err := u.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return fmt.Errorf("unpacking archive: %w", err)
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("unpacking %s: %w", name, err)
	}
	return nil
}
