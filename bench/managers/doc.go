// Command managers compares penstock supervise with pm2 on the same Node.js
// program: what a planned restart costs those who ask it, what a killed process
// costs them, and what the manager itself holds. Run it with make compare-pm2.
package main
