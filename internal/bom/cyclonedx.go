package bom

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
)

// The parts of a CycloneDX 1.6 document that are used.
type (
	document struct {
		Format       string       `json:"bomFormat"`
		Spec         string       `json:"specVersion"`
		Serial       string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp,omitempty"`
		Component component `json:"component"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		Hashes     []hash     `json:"hashes,omitempty"`
		Licenses   []license  `json:"licenses,omitempty"`
		PURL       string     `json:"purl,omitempty"`
		Properties []property `json:"properties,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	license struct {
		Expression string `json:"expression"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref string   `json:"ref"`
		On  []string `json:"dependsOn"`
	}
)

// CycloneDX returns the bill of materials of a program as CycloneDX 1.6 in JSON.
// The same program gives the same bytes.
func CycloneDX(info *debug.BuildInfo, version string) ([]byte, error) {
	d := document{
		Format: "CycloneDX", Spec: "1.6", Version: 1,
		Metadata: metadata{Component: component{
			Type: "application", Ref: purl(Module{Path: info.Main.Path, Version: version}), Name: "penstock", Version: version,
			PURL: purl(Module{Path: info.Main.Path, Version: version}),
		}},
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			d.Metadata.Timestamp = s.Value
		}
		d.Metadata.Component.Properties = append(d.Metadata.Component.Properties, property{"penstock:build:" + s.Key, s.Value})
	}
	licences, err := Licences()
	if err != nil {
		return nil, err
	}
	all := dependency{Ref: d.Metadata.Component.Ref}
	sum := sha256.New()
	for _, m := range Modules(info) {
		c := component{Type: "library", Ref: purl(m), Name: m.Path, Version: m.Version, PURL: purl(m)}
		if h, ok := strings.CutPrefix(m.Sum, "h1:"); ok {
			digest, err := base64.StdEncoding.DecodeString(h)
			if err != nil {
				return nil, fmt.Errorf("the checksum of %s: %w", m.Path, err)
			}
			c.Hashes = []hash{{"SHA-256", hex.EncodeToString(digest)}}
		}
		if l := licences[m.Path]; l != "" {
			c.Licenses = []license{{l}}
		}
		d.Components = append(d.Components, c)
		all.On = append(all.On, c.Ref)
		fmt.Fprintln(sum, m.Path, m.Version, m.Sum)
	}
	d.Dependencies = []dependency{all}
	d.Serial = serial(sum.Sum([]byte(version)))
	text, err := json.MarshalIndent(d, "", "  ")
	return append(text, '\n'), err
}

// serial makes a UUID of version 8 from a digest.
func serial(digest []byte) string {
	u := sha256.Sum256(digest)
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

func purl(m Module) string {
	if m.Path == Library {
		return "pkg:golang/std@" + m.Version
	}
	version := m.Version
	if version != "" && version[0] >= '0' && version[0] <= '9' {
		version = "v" + version
	}
	return "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(version, "+", "%2B")
}
