"""The data path: replication, queries and connections, through dcmesh and through the database's own LoadBalancer."""
