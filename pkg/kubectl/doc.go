// Package kubectl is the tool for people: kubectl ms2m. Each command is a file. What succeeds is told on the standard
// output, in a form for people or, with -o, for programs; what fails is the error of the command.
package kubectl
