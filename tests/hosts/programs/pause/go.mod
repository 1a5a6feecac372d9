module research-compute/hosts/pause

go 1.26.0
