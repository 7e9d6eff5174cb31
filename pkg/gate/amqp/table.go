package amqp

import (
	"encoding/binary"
	"sort"
)

// Flags of the properties that Canonical knows of.
const (
	flagHeaders   = 1 << 13
	flagMessageID = 1 << 7
	flagTimestamp = 1 << 6
)

// tableDepth bounds nested tables.
const tableDepth = 32

// CanonicalProperties appends the properties of a header frame in a form that is equal for equal messages of a
// deterministic application: without timestamp and message-id, which clients stamp from clock and chance, and with
// header tables sorted, since clients write them from unordered maps. What cannot be parsed is appended as it is.
func CanonicalProperties(dst, props []byte) []byte {
	c := &cursor{b: props}
	flags := c.u16()
	out := binary.BigEndian.AppendUint16(dst, flags&^(flagMessageID|flagTimestamp))
	for bit := uint16(1 << 15); bit > 1; bit >>= 1 {
		if flags&bit == 0 {
			continue
		}
		before := c.b
		switch bit {
		case flagHeaders:
			out = appendSized(out, canonicalTable(nil, c.long(), tableDepth))
			continue
		case 1 << 12, 1 << 11:
			c.u8()
		case flagTimestamp:
			c.u64()
		default:
			c.short()
		}
		if bit&(flagMessageID|flagTimestamp) == 0 {
			out = append(out, before[:len(before)-len(c.b)]...)
		}
	}
	if c.bad {
		return append(dst, props...)
	}
	return append(out, c.b...)
}

// appendSized makes where b ends a part of the form.
func appendSized(dst, b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(b))), b...)
}

// canonicalTable appends the fields sorted by name.
func canonicalTable(dst, table []byte, depth int) []byte {
	type field struct{ name, value string }
	var fields []field
	c := &cursor{b: table}
	for len(c.b) > 0 && !c.bad && depth > 0 {
		name := string(c.short())
		fields = append(fields, field{name, string(canonicalValue(nil, c, depth-1))})
	}
	if c.bad || depth == 0 {
		return append(dst, table...)
	}
	sort.SliceStable(fields, func(i, j int) bool { return fields[i].name < fields[j].name })
	for _, f := range fields {
		dst = append(append(dst, byte(len(f.name))), f.name...)
		dst = appendSized(dst, []byte(f.value))
	}
	return dst
}

func canonicalValue(dst []byte, c *cursor, depth int) []byte {
	kind := c.u8()
	dst = append(dst, kind)
	switch kind {
	case 't', 'b', 'B':
		return append(dst, c.take(1)...)
	case 's', 'u':
		return append(dst, c.take(2)...)
	case 'I', 'i', 'f':
		return append(dst, c.take(4)...)
	case 'D':
		return append(dst, c.take(5)...)
	case 'l', 'L', 'd', 'T':
		return append(dst, c.take(8)...)
	case 'S', 'x':
		return append(dst, c.long()...)
	case 'F':
		return canonicalTable(dst, c.long(), depth)
	case 'A':
		items := &cursor{b: c.long()}
		for len(items.b) > 0 && !items.bad && depth > 0 {
			dst = appendSized(dst, canonicalValue(nil, items, depth-1))
		}
		c.bad = c.bad || items.bad || depth == 0
		return dst
	case 'V':
		return dst
	}
	c.bad = true
	return dst
}

// HasTableKey tells whether a table has a field of that name and, when value is not empty, that it is that string.
func HasTableKey(table []byte, name, value string) bool {
	c := &cursor{b: table}
	for len(c.b) > 0 && !c.bad {
		key := string(c.short())
		if c.bad || len(c.b) == 0 {
			return false
		}
		text := ""
		if c.b[0] == 'S' {
			text = string((&cursor{b: c.b[1:]}).long())
		}
		canonicalValue(nil, c, tableDepth)
		if key == name && !c.bad {
			return value == "" || text == value
		}
	}
	return false
}
