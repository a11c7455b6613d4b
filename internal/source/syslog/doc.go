// Package syslog takes syslog messages (RFC 5424 and RFC 3164) from switches,
// modems and other devices over UDP, TCP and TLS, as events and as evidence about
// links.
//
// Each message becomes a report of one text sample. Its point is, unless
// configured otherwise, "syslog/" and the application; the priority stands in the
// sample's native bits; the time is the device's where the message has one.
//
// What is guaranteed: syslog has no acknowledgement, so a device does not know
// what arrived and sends nothing again. What is lost on the way over UDP is lost,
// and nobody can count it. What was read is kept in memory until it is durable: a
// crash loses it, at most a few hundred messages. While the spool is full, TCP and
// TLS senders are held up by not reading from them; over UDP messages wait in a
// bounded queue, and what finds no room there is counted as overrun.
//
// Identity: there are no resends, so the gateway numbers the messages of each
// device itself, in an epoch that begins with each start of the source. Two
// messages of one device in the same second are two events.
//
// Rules say what messages tell about links: an expression that a message must
// match, and the event or the signal that is then noted on a controller's page.
package syslog
