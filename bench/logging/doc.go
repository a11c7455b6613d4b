// Command logging measures what the log costs the acknowledgements of a gateway whose
// log goes to a real rsyslog over UDP and TCP, every envelope a line, while rsyslog runs,
// while it is stopped, and while it hangs with its connections open, in turn:
//
//	go run ./bench/logging -for 5s -rounds 5 -rate 500
package main
