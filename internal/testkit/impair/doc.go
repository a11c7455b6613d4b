// Package impair stands between two ends of a test and does to what they say
// what radios, networks and long cables do: it loses, doubles, reorders, damages
// and delays, and it says exactly what it did. It works in user space, on
// datagrams ([UDP]) and on streams of bytes ([Stream]: a TCP connection, the two
// ends of a pseudo terminal), and draws everything from a seed.
package impair
