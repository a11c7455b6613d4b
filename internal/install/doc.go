// Package install sets a machine up for a gateway: account, directories, key,
// configuration, units of systemd and a firewall; and takes it away again. What
// is to be done is a plan of small steps, each of which can be shown, leaves
// alone what is so already, and works below another root for an image.
package install
