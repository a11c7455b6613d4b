package settings

import (
	"maps"
	"slices"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/suggest"
)

// checkMappings returns what is wrong with the names of mappings, where they are
// declared and where they are used. What is wrong inside of them they say
// themselves.
func (c *Config) checkMappings() []error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(c.Mappings)) {
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" || len(name) > penstock.MaxName {
			problems = append(problems, penstock.Errorf(penstock.Invalid,
				"mappings.%.40s: is no name of a mapping: small letters, digits, - and _ only", name))
		}
	}
	for i := range c.Sources {
		for _, k := range c.Sources[i].chosen() {
			uses, ok := k.config.(interface{ Mappings() []string })
			if !ok {
				continue
			}
			for _, name := range uses.Mappings() {
				if err := c.checkMapping(name); err != nil {
					problems = append(problems, penstock.Errorf(penstock.Invalid, "sources[%d].%s: %w", i, k.name, err))
				}
			}
		}
	}
	for _, name := range c.MQTT.Mappings() {
		if err := c.checkMapping(name); err != nil {
			problems = append(problems, penstock.Errorf(penstock.Invalid, "mqtt.topics: %w", err))
		}
	}
	return problems
}

// checkMapping returns an error when no mapping has the name.
func (c *Config) checkMapping(name string) error {
	if _, ok := c.Mappings[name]; ok {
		return nil
	}
	names := slices.Sorted(maps.Keys(c.Mappings))
	if near := suggest.Nearest(name, names); near != "" {
		return penstock.Errorf(penstock.Invalid, "there is no mapping %.40q; did you mean %s?", name, near)
	}
	return penstock.Errorf(penstock.Invalid, "there is no mapping %.40q: declare it under mappings", name)
}
