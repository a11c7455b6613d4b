// Package filter knows the topics and filters of MQTT: what is a topic and what a
// filter, and which of many filters a topic matches.
package filter
