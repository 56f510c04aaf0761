"""The data path: replication, queries and connections, through dcmesh and through a LoadBalancer of its own."""
