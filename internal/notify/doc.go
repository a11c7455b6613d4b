// Package notify is the protocol by which a service tells whoever runs it how it
// is (sd_notify(3)): lines of NAME=value in a datagram to the socket that
// NOTIFY_SOCKET names. It holds both ends: [Sender] for a program, and
// [Receiver] for a process manager.
//
// One line is not of systemd: X_TAKE_OVER=1 says that the sender is ready to go on
// as soon as its predecessor has ended. Managers that do not know it pass over it.
package notify
