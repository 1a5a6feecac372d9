module research-compute/hosts/probe

go 1.26.0
