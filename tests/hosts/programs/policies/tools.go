//go:build tools

// Package tools pins the program that enforces network policies on the hosts of the tests.
package tools

import _ "sigs.k8s.io/kube-network-policies/cmd"
