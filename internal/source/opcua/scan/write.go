package scan

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/penstock/penstock"
)

// Write writes what was found as configuration, ready to be pasted and edited.
// The password is not in it: passwordFile is where it stands.
func (f *Found) Write(w io.Writer, passwordFile string) error {
	var b strings.Builder
	b.WriteString("# Found by a scan. Names of controllers and points, and what is worth keeping, are for a person to say.\nsources:\n")
	fmt.Fprintf(&b, "  - name: opcua\n    opcua:\n      endpoint: %q\n      security:\n", f.Session.Endpoint)
	sec := f.Session.Security
	fmt.Fprintf(&b, "        policy: %s\n", sec.Policy)
	if sec.Mode != "" {
		fmt.Fprintf(&b, "        mode: %s\n", sec.Mode)
	}
	if sec.PlainText {
		b.WriteString("        plain_text: true\n")
	}
	if sec.Trust != "" {
		fmt.Fprintf(&b, "        trust: %q # as the server showed it to the scan: compare it with the server's own\n", sec.Trust)
	}
	if f.Session.User != "" {
		fmt.Fprintf(&b, "      user: %q\n      password: %q\n", f.Session.User, "file:"+passwordFile)
	}
	b.WriteString("      groups:\n        - name: all\n          publish: 1s\n          nodes:\n")
	f.nodes(&b)
	if f.More {
		b.WriteString("            # There is more than the scan was to take.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (f *Found) nodes(b *strings.Builder) {
	taken := map[string]bool{}
	none := !slices.ContainsFunc(f.Variables, func(v Variable) bool { return v.fits() })
	for i := range f.Variables {
		v := &f.Variables[i]
		controller, point := v.names()
		for n := 2; taken[controller+"/"+point]; n++ {
			_, plain := v.names()
			point = cut(plain, penstock.MaxName-8) + fmt.Sprintf("-%d", n)
		}
		taken[controller+"/"+point] = true
		lead := ""
		if !v.fits() && !none {
			lead = "# "
		}
		fmt.Fprintf(b, "            %s- {node: %q, controller: %q, point: %q", lead, v.Node, controller, point)
		if v.Unit != "" {
			fmt.Fprintf(b, ", unit: %q", v.Unit)
		}
		if v.Array >= 0 {
			b.WriteString(", index: 0")
		}
		b.WriteString("}")
		note := v.label()
		if v.Unit == "" && v.Told != "" {
			note += ", in " + v.Told
		}
		if note = strings.TrimPrefix(note, ", "); note != "" {
			fmt.Fprintf(b, " # %s", clean(note))
		}
		b.WriteString("\n")
	}
}

// fits tells whether a point can hold what the variable holds, as far as known.
func (v *Variable) fits() bool { return v.Reason == "" || v.Type == "" }

// names proposes the object below the root as the controller, and the rest of the
// way as the point.
func (v *Variable) names() (controller, point string) {
	controller, rest := "server", v.Path
	if len(rest) > 1 {
		controller, rest = rest[0], rest[1:]
	}
	parts := make([]string, len(rest))
	for i, part := range rest {
		parts[i] = strings.ReplaceAll(clean(part), "/", "-")
	}
	controller = strings.ReplaceAll(clean(controller), "/", "-")
	return cmp.Or(cut(controller, penstock.MaxName), "unnamed"), cmp.Or(cut(strings.Join(parts, "/"), penstock.MaxName), "unnamed")
}

// clean returns text without what a name or a comment may not have.
func clean(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || r == '\u2028' || r == '\u2029' || r == '\ufeff' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "")))
}

// cut shortens text to at most n bytes, between characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "")
}
