module lab/k3d-proxy

go 1.24.0
