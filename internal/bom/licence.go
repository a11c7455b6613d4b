package bom

import (
	_ "embed"
	"strings"

	"github.com/penstock/penstock"
)

// thirdParty lists the modules with their licences, and then the texts. A test
// holds it to the modules that the program is built from.
//
//go:embed THIRD_PARTY.txt
var thirdParty string

// LicenceTexts returns the list of modules and licences with all texts.
func LicenceTexts() string { return thirdParty }

// Licences returns the licence of each module as an SPDX expression.
func Licences() (map[string]string, error) {
	licences := map[string]string{}
	_, list, found := strings.Cut(thirdParty, listBegins)
	list, _, ended := strings.Cut(list, listEnds)
	if !found || !ended {
		return nil, penstock.Errorf(penstock.Corrupt, "THIRD_PARTY.txt has no list: generate it again")
	}
	for line := range strings.Lines(list) {
		if path, rest, ok := strings.Cut(strings.TrimSpace(line), "  "); ok {
			_, licence, _ := strings.Cut(strings.TrimSpace(rest), "  ")
			licences[path] = strings.TrimSpace(licence)
		}
	}
	return licences, nil
}

const (
	listBegins = "Modules, versions and licences:\n\n"
	listEnds   = "\nTexts:\n"
)

// Part is a module with its files of licence.
type Part struct {
	Module
	Files []File
}

// File is a text that must go along.
type File struct{ Name, Text string }

// Generate returns THIRD_PARTY.txt for the modules. A text of several modules
// stands once. The error names a module whose licence is not known.
func Generate(parts []Part) (string, error) {
	var b, texts strings.Builder
	b.WriteString("What Penstock is built from, and under which licences. Generated; 'penstock version --licences' prints it.\n\n")
	b.WriteString(listBegins)
	seen := map[string][]string{}
	var order []string
	for _, p := range parts {
		licence := ""
		for _, f := range p.Files {
			text := normal(f.Text)
			if l := Recognise(text); l != "" && licence == "" {
				licence = l
			}
			if seen[text] == nil {
				order = append(order, text)
			}
			seen[text] = append(seen[text], p.Path+" ("+f.Name+")")
		}
		if licence == "" {
			return "", penstock.Errorf(penstock.Unsupported, "the licence of %s is not recognised: look at it, and teach Recognise", p.Path)
		}
		b.WriteString("  " + p.Path + "  " + p.Version + "  " + licence + "\n")
	}
	for _, text := range order {
		texts.WriteString("\n" + strings.Repeat("=", 80) + "\n" + strings.Join(seen[text], "\n") + "\n" + strings.Repeat("-", 80) + "\n" + text)
	}
	return b.String() + listEnds + texts.String(), nil
}

// normal returns a text without what only its editor put there.
func normal(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\f")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n") + "\n"
}

// Recognise returns the SPDX expression of a licence's text, empty when it is not
// known.
func Recognise(text string) string {
	has := func(phrase string) bool {
		return strings.Contains(strings.ToLower(strings.Join(strings.Fields(text), " ")), phrase)
	}
	switch {
	case has("eclipse public license") && has("eclipse distribution license"):
		return "EPL-2.0 OR BSD-3-Clause"
	case has("apache license") && has("version 2.0"):
		return "Apache-2.0"
	case has("mozilla public license") && has("2.0"):
		return "MPL-2.0"
	case has("permission is hereby granted, free of charge") && has("the above copyright notice and this permission notice"):
		return "MIT"
	case has("permission is hereby granted, free of charge"):
		return "MIT-0"
	case has("redistribution and use in source and binary forms") && (has("neither the name") || has("names of its contributors") || has("name of the author may not")):
		return "BSD-3-Clause"
	case has("redistribution and use in source and binary forms"):
		return "BSD-2-Clause"
	}
	return ""
}
