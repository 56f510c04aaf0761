"""The data path with MySQL: what bench.data_path measures, by gateways and through the database's own LoadBalancer."""
